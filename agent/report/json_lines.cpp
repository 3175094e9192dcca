#include "agent/report/json_lines.hpp"

#include <system_error>

#include "agent/text/write_all.hpp"

namespace ingot::agent {

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
