#include "imaging/config_drive/tool.hpp"

#include <fmt/format.h>

#include <chrono>

#include "disk/core/subprocess.hpp"
#include "disk/core/units.hpp"

namespace ingot::imaging {
namespace {

constexpr std::chrono::seconds kPatience{60};  // for what takes milliseconds
constexpr std::size_t kMostOutput = 4 * MiB;   // of a listing

}  // namespace

Result<std::string> run_tool(const ToolRun& run, std::stop_token stop) {
  const auto program = find_program(run.program);
  // run_subprocess() gives every program the same environment.
  const auto environment = find_program("env");
  if (!program || !environment)
    return fail(Errc::usage_config_drive,
                fmt::format("the config drive: {} is not on this machine", run.program),
                fmt::format("install Debian's package {}, or give a config drive that needs no "
                            "rebuilding",
                            run.package));
  SubprocessRequest request;
  // mtools: names in UTF-8, short ones in Linux's own code page; no geometry to be checked.
  request.argv = {
      *environment,           "LC_ALL=C.UTF-8",      "TZ=UTC", "SOURCE_DATE_EPOCH=315532800",
      "DEFAULT_CODEPAGE=437", "MTOOLS_SKIP_CHECK=1", *program};
  request.argv.insert(request.argv.end(), run.arguments.begin(), run.arguments.end());
  request.inherit = run.files;
  request.timeout = kPatience;
  request.output_limit = kMostOutput;
  request.file_size = run.file_size;
  request.error_code = Errc::usage_config_drive;
  INGOT_TRY_ASSIGN(auto outcome, run_subprocess(request, std::move(stop)));
  if (!outcome.ok() || outcome.output_truncated)
    return fail(Errc::usage_config_drive,
                fmt::format("the config drive: {} failed ({})", run.program,
                            outcome.ok() ? "too much output" : outcome.describe_end()),
                "check that the config drive is whole, and that libc's C.UTF-8 locale and gconv "
                "modules are here, which mtools needs; docs/config-drive.md shows how to make one");
  return std::move(outcome.out);
}

}  // namespace ingot::imaging
