#include "agent/reference/write_reference.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "agent/reference/completions.hpp"
#include "agent/reference/man_page.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

// The date of what is built, as reproducible builds have it; without one, none: two builds of the
// same sources make the same pages (reproducible-builds.org/specs/source-date-epoch).
std::string build_date() {
  const char* const text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr) return {};
  std::time_t seconds = 0;
  const std::string_view digits(text);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  std::tm date{};
  if (error != std::errc() || end != digits.data() + digits.size() ||
      ::gmtime_r(&seconds, &date) == nullptr)
    return {};
  return fmt::format("{:%Y-%m-%d}", date);
}

Result<void> write_file(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return {};
  return fail(Errc::usage_option, fmt::format("{} cannot be written", path.string()),
              "give a directory that can be written to, on a file system with room");
}

}  // namespace

Result<void> write_reference(const ProgramReference& program, const std::string& directory) {
  const fs::path share = directory;
  const std::string& name = program.program.name;
  const std::string date = build_date();
  const fs::path man = share / fmt::format("man/man{}", program.section);
  INGOT_TRY(write_file(man / man_page_name(program, program.program),
                       man_page(program, program.program, date)));
  for (const CommandReference& command : program.commands)
    INGOT_TRY(write_file(man / man_page_name(program, command), man_page(program, command, date)));
  INGOT_TRY(write_file(share / "bash-completion/completions" / name, bash_completion(program)));
  INGOT_TRY(write_file(share / "zsh/vendor-completions" / ('_' + name), zsh_completion(program)));
  return write_file(share / "fish/vendor_completions.d" / (name + ".fish"),
                    fish_completion(program));
}

}  // namespace ingot::agent
