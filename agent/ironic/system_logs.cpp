#include "agent/ironic/system_logs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/ironic/log_archive.hpp"
#include "agent/ironic/log_redaction.hpp"
#include "agent/machine/kernel_text.hpp"
#include "disk/core/subprocess.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostLogFiles = 64;
constexpr std::size_t kMostBlockDevices = 256;

struct Program {
  std::string member;
  std::vector<std::string> words;  // the program's name and its arguments
  bool as_root = false;            // what it shows, nobody else may see
};

const std::vector<Program>& programs() {
  static const std::vector<Program> all{
      {"dmesg", {"dmesg"}, true},
      {"df", {"df", "-a"}, true},
      {"ip_addr", {"ip", "addr"}},
      {"ip_route", {"ip", "route", "show", "table", "all"}},
      {"lsblk", {"lsblk", "--all"}, true},
      {"lsblk-full",
       {"lsblk", "-bia", "--json",
        "-oKNAME,MODEL,SIZE,ROTA,TYPE,UUID,PARTUUID,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN,FSTYPE,LABEL"},
       true},
      {"mount", {"mount"}},
      {"ps", {"ps", "auxww"}},
      {"efibootmgr", {"efibootmgr", "-v"}, true},
      {"lspci", {"lspci", "-nn"}},
  };
  return all;
}

// A secret that a limit has cut through would not be found any more, so the line that was cut goes
// as a whole.
void drop_last_line(std::string& text) {
  const auto end = text.rfind('\n');
  text.resize(end == std::string::npos ? 0 : end + 1);
}
void drop_first_line(std::string& text) {
  const auto end = text.find('\n');
  text.erase(0, end == std::string::npos ? text.size() : end + 1);
}

// The last `limit` bytes of a regular file, in whole lines.
std::string end_of_file(const fs::path& path, std::size_t limit) {
  const UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const auto most = static_cast<off_t>(limit);
  off_t at = std::max<off_t>(status.st_size - most, 0);
  const bool cut = at > 0;
  std::string text(static_cast<std::size_t>(std::min(status.st_size, most)), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::pread(fd.get(), text.data() + have, text.size() - have, at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
    at += got;
  }
  text.resize(have);
  if (cut) drop_first_line(text);
  return text;
}

class Collection {
 public:
  Collection(const SystemLogOptions& options, std::stop_token stop)
      : options_(options),
        stop_(std::move(stop)),
        end_(Clock::now() + options.whole_time),
        room_(options.whole_limit) {}

  Result<std::string> collect() {
    INGOT_TRY(add("ingot.log", last_part(options_.own_log)));
    INGOT_TRY(add_journal());
    for (const auto& program : programs()) INGOT_TRY(add_program(program));
    INGOT_TRY(add("mdstat", read_bytes(options_.proc / "mdstat", options_.member_limit)));
    INGOT_TRY(add("cmdline", read_bytes(options_.proc / "cmdline", options_.member_limit)));
    INGOT_TRY(add_udev());
    if (!missing_.empty()) INGOT_TRY(archive_.add("not-collected", missing_));
    return archive_.finish();
  }

 private:
  [[nodiscard]] std::string last_part(const std::string& text) const {
    if (text.size() <= options_.member_limit) return text;
    std::string part = text.substr(text.size() - options_.member_limit);
    drop_first_line(part);
    return part;
  }

  void miss(std::string_view member, std::string_view why) {
    missing_ += fmt::format("{}: {}\n", member, why);
  }

  Result<void> add(const std::string& member, const std::string& text) {
    if (stop_.stop_requested()) return fail(Errc::cancelled, "collecting logs: cancelled");
    if (text.empty()) return {};
    std::string redacted = redact_log(text, options_.secrets);
    const std::size_t most = std::min(options_.member_limit, room_);
    if (redacted.size() > most) {
      redacted.resize(most);
      miss(member, "cut, it is too large");
    }
    if (redacted.empty()) return {};
    room_ -= redacted.size();
    return archive_.add(member, redacted);
  }

  // What a program says; nothing if there is no such program, or no time for it.
  Result<std::optional<SubprocessOutcome>> run(const Program& program) {
    const auto path = find_program(program.words.front());
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end_ - Clock::now());
    if (!path) return std::optional<SubprocessOutcome>();
    if (left.count() <= 0 || room_ == 0) {
      miss(program.member, room_ == 0 ? "no room is left" : "no time is left");
      return std::optional<SubprocessOutcome>();
    }
    SubprocessRequest request;
    request.argv = program.words;
    request.argv.front() = *path;
    request.timeout = std::min(options_.program_time, left);
    request.output_limit = options_.member_limit;
    request.address_space = 4ULL << 30;  // journalctl maps its files
    request.open_files = 1024;
    request.cpu_seconds = 30;
    request.drop_privileges = !program.as_root;
    request.isolate_network = false;  // some tell about it
    auto outcome = run_subprocess(request, stop_);
    if (outcome) return std::optional(*std::move(outcome));
    if (outcome.error().code() == Errc::cancelled) return tl::unexpected(outcome.error());
    miss(program.member, outcome.error().message());
    return std::optional<SubprocessOutcome>();
  }

  Result<void> add_program(const Program& program) {
    INGOT_TRY_ASSIGN(auto outcome, run(program));
    return outcome ? add_outcome(program.member, *std::move(outcome)) : Result<void>();
  }

  Result<void> add_outcome(const std::string& member, SubprocessOutcome outcome) {
    const bool killed = outcome.end == SubprocessOutcome::End::timed_out;
    if (outcome.output_truncated || killed) {
      drop_last_line(outcome.out);
      drop_last_line(outcome.err);
    }
    if (outcome.output_truncated) miss(member, "cut, it says too much");
    if (!outcome.ok()) miss(member, outcome.describe_end());
    if (!outcome.err.empty()) outcome.out += "\n" + outcome.err;
    return add(member, outcome.out);
  }

  // The newest lines are what matters, and a limit keeps the first: of a long journal fewer lines
  // are asked for until they fit.
  Result<void> add_journal() {
    std::error_code error;
    bool have = false;
    if (fs::exists(options_.run / "systemd/system", error)) {
      std::size_t lines = options_.journal_lines;
      for (int tries = 0; tries < 4 && !have; ++tries) {
        Program journal{"journal", {"journalctl", "--quiet", "--full", "--no-pager", "-b"}, true};
        if (lines > 0) {
          journal.words.emplace_back("-n");
          journal.words.push_back(std::to_string(lines));
        }
        INGOT_TRY_ASSIGN(auto outcome, run(journal));
        if (!outcome) break;
        have = outcome->ok() && !outcome->out.empty() && !outcome->output_truncated;
        if (have || tries == 3 || !outcome->output_truncated) {
          INGOT_TRY(add_outcome(journal.member, *std::move(outcome)));
          break;
        }
        lines = lines == 0 || lines > 10'000 ? 10'000 : lines / 4 + 1;
      }
    }
    return have ? Result<void>() : add_log_files();
  }

  // Texts in /var/log itself and the folders in it. Others, and packed ones, cannot be redacted.
  Result<void> add_log_files() {
    std::size_t count = 0;
    std::error_code error;
    for (const auto& name : names_in(options_.var_log)) {
      std::vector<std::string> files{name};
      if (fs::is_directory(fs::symlink_status(options_.var_log / name, error))) {
        files.clear();
        for (const auto& below : names_in(options_.var_log / name))
          files.push_back(name + "/" + below);
      }
      for (const auto& file : files) {
        const std::string text = end_of_file(options_.var_log / file, options_.member_limit);
        if (text.empty() || text.find('\0') != std::string::npos || text.starts_with("\x1f\x8b"))
          continue;
        if (++count > kMostLogFiles) {
          miss("var/log/" + file, "there are too many files");
          return {};
        }
        INGOT_TRY(add("var/log/" + file, text));
      }
    }
    return {};
  }

  Result<void> add_udev() {
    std::size_t count = 0;
    const fs::path folder = options_.sysfs / "class/block";
    for (const auto& kname : names_in(folder)) {
      if (read_number(folder / kname / "size").value_or(0) == 0) continue;  // an unused loop device
      if (++count > kMostBlockDevices) {
        miss("udev/" + kname, "there are too many block devices");
        return {};
      }
      INGOT_TRY(
          add_program({"udev/" + kname,
                       {"udevadm", "info", "--query=all", "--path=" + (folder / kname).string()}}));
    }
    return {};
  }

  const SystemLogOptions& options_;
  std::stop_token stop_;
  Clock::time_point end_;
  std::size_t room_;  // bytes
  std::string missing_;
  LogArchive archive_;
};

}  // namespace

Result<std::string> collect_system_logs(const SystemLogOptions& options,
                                        const std::stop_token& stop) {
  return Collection(options, stop).collect();
}

}  // namespace ingot::agent
