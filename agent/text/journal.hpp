/// The systemd journal, where standard error leads to it: lines with fields instead of text alone.
#pragma once

#include <string>
#include <string_view>

namespace ingot::agent {

/// How much a line matters; the values are those of syslog(3) and the journal's PRIORITY.
enum class Severity { error = 3, warning = 4, info = 6 };

/// Whether descriptor `fd` is the connection to the journal that systemd made for this process:
/// `journal_stream` is JOURNAL_STREAM, "DEVICE:INODE" of it (systemd.exec(5)). One that was
/// redirected elsewhere is not; nor is any where the variable is not set (null).
[[nodiscard]] bool is_journal(int fd, const char* journal_stream) noexcept;

/// The same of standard error and this process's environment, as they were at the first call.
[[nodiscard]] bool logs_to_journal() noexcept;

/// While it lives, what this process says belongs to a deployment: the journal's fields
/// INGOT_DEPLOY_ID and, once there is one, INGOT_PHASE. One at a time; any thread.
class LogScope {
 public:
  explicit LogScope(std::string_view deploy_id);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;
};

/// What INGOT_PHASE is from now on; nothing where there is no LogScope.
void set_log_phase(std::string_view phase);

/// Sends one line with its fields: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, those of the LogScope, and
/// INGOT_ERROR_CODE unless `error_code` is "". `line` holds no control characters and no secrets.
/// False if the journal did not take it.
bool send_to_journal(Severity severity, std::string_view line,
                     std::string_view error_code) noexcept;

}  // namespace ingot::agent
