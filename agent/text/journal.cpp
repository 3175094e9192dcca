#include "agent/text/journal.hpp"

#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>

// Where in the source a line was said tells its reader nothing.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

namespace ingot::agent {
namespace {

struct Scope {
  std::mutex mutex;
  bool there = false;
  std::string deploy_id, phase;
};

Scope& scope() {
  static Scope all;
  return all;
}

}  // namespace

bool is_journal(int fd, const char* journal_stream) noexcept {
  struct stat status {};
  if (journal_stream == nullptr || ::fstat(fd, &status) != 0) return false;
  const char* const end = journal_stream + std::strlen(journal_stream);
  dev_t device{};
  ino_t inode{};
  const auto first = std::from_chars(journal_stream, end, device);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return false;
  const auto second = std::from_chars(first.ptr + 1, end, inode);
  return second.ec == std::errc() && second.ptr == end && status.st_dev == device &&
         status.st_ino == inode;
}

bool logs_to_journal() noexcept {
  static const bool does = is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  return does;
}

LogScope::LogScope(std::string_view deploy_id) {
  Scope& now = scope();
  const std::lock_guard lock(now.mutex);
  now.there = true;
  now.deploy_id = deploy_id;
  now.phase.clear();
}

LogScope::~LogScope() {
  Scope& now = scope();
  const std::lock_guard lock(now.mutex);
  now.there = false;
  now.deploy_id.clear();
  now.phase.clear();
}

void set_log_phase(std::string_view phase) {
  Scope& now = scope();
  const std::lock_guard lock(now.mutex);
  if (now.there) now.phase = phase;
}

bool send_to_journal(Severity severity, std::string_view line,
                     std::string_view error_code) noexcept {
  try {
    std::array<std::string, 6> fields;
    std::size_t count = 0;
    const auto add = [&](const char* name, std::string_view value) {
      if (!value.empty()) fields.at(count++) = name + std::string(1, '=').append(value);
    };
    add("MESSAGE", line);
    add("PRIORITY", std::to_string(static_cast<int>(severity)));
    add("SYSLOG_IDENTIFIER", program_invocation_short_name);
    {
      Scope& now = scope();
      const std::lock_guard lock(now.mutex);
      add("INGOT_DEPLOY_ID", now.deploy_id);
      add("INGOT_PHASE", now.phase);
    }
    add("INGOT_ERROR_CODE", error_code);
    std::array<iovec, 6> parts{};
    for (std::size_t i = 0; i < count; ++i)
      parts.at(i) = {fields.at(i).data(), fields.at(i).size()};
    return ::sd_journal_sendv(parts.data(), static_cast<int>(count)) == 0;
  } catch (const std::exception&) {
    return false;  // no memory for it
  }
}

}  // namespace ingot::agent
