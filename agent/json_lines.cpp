#include "agent/json_lines.hpp"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace ingot::agent {

int write_all(int fd, std::string_view text, std::chrono::milliseconds patience) {
  while (!text.empty()) {
    pollfd ready{fd, POLLOUT, 0};
    const int got = ::poll(&ready, 1, static_cast<int>(patience.count()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return ETIMEDOUT;
    const ssize_t done = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  return 0;
}

JsonLines::JsonLines(int fd, std::string deploy_id, std::chrono::milliseconds patience)
    : fd_(fd), deploy_id_(std::move(deploy_id)), patience_(patience), thread_([this] { run(); }) {}

JsonLines::~JsonLines() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

void JsonLines::run() {
  constexpr std::chrono::milliseconds kLook{100};  // for stopped_
  while (!stopped_) {
    const auto next = queue_.pop(std::chrono::steady_clock::now() + kLook);
    if (!next) continue;
    const int error = write_all(fd_, to_json(next->event, next->seq, deploy_id_) + '\n', patience_);
    if (error != 0) {
      problem_ = "writing events to standard output: " + std::generic_category().message(error);
      return;
    }
    if (next->event.terminal()) return;
  }
}

std::string JsonLines::finish() {
  if (thread_.joinable()) thread_.join();
  return problem_;
}

}  // namespace ingot::agent
