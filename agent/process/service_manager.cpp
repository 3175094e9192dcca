#include "agent/process/service_manager.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdint>
#include <cstdlib>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::microseconds watchdog_interval() {
  std::uint64_t interval = 0;
  if (::sd_watchdog_enabled(0, &interval) <= 0) return {};
  return std::chrono::microseconds(interval);
}

std::string assignment(std::string_view what) {
  return "STATUS=" + utf8(printable(what));
}

}  // namespace

ServiceManager::ServiceManager()
    : listens_(std::getenv("NOTIFY_SOCKET") != nullptr),
      watchdog_(listens_ ? watchdog_interval() : std::chrono::microseconds{}) {}

void ServiceManager::send(const std::string& state) const {
  if (listens_) static_cast<void>(::sd_notify(0, state.c_str()));
}

void ServiceManager::ready() {
  const std::lock_guard lock(mutex_);
  if (ready_) return;
  ready_ = true;
  send("READY=1");
}

void ServiceManager::status(std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (told_ == what) return;
  told_ = what;
  send(assignment(what));
}

void ServiceManager::status(std::string_view what, std::chrono::seconds at_most) {
  const std::lock_guard lock(mutex_);
  told_ = what;
  send(fmt::format("{}\nEXTEND_TIMEOUT_USEC={}", assignment(what),
                   std::chrono::microseconds(at_most).count()));
}

void ServiceManager::alive() {
  const std::lock_guard lock(mutex_);
  if (watchdog_.count() == 0) return;
  const auto now = Clock::now();
  if (fed_ != Clock::time_point{} && now - fed_ < watchdog_ / 3) return;
  fed_ = now;
  send("WATCHDOG=1");
}

void ServiceManager::stopping(std::string_view what) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  stopping_ = true;
  told_ = what;
  send("STOPPING=1\n" + assignment(what));
}

}  // namespace ingot::agent
