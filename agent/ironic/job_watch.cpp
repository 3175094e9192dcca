#include "agent/ironic/job_watch.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "agent/report/event.hpp"
#include "agent/text/text.hpp"
#include "disk/core/units.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {

JobWatch::JobWatch(std::string what) : what_(std::move(what)) {}

void JobWatch::on_started(const JobStart& start) {
  say(start.image_url.empty()
          ? fmt::format("{}: {} of {}", what_, start.erase_method, start.device)
          : fmt::format("{}: {} onto {}", what_, redacted(start.image_url), start.device));
  const std::lock_guard lock(mutex_);
  device_ = start.device;
  erase_ = !start.erase_method.empty();
}

void JobWatch::on_remark(const std::string& text) {
  say(what_ + ": " + text);
}

Result<void> JobWatch::confirm(const std::string& device, const std::stop_token& /*stop*/) {
  return fail(Errc::usage_confirmation,
              fmt::format("overwriting {}: there is nobody to confirm it", device));
}

void JobWatch::on_phase(Phase phase) {
  set_log_phase(name(phase));
  say(fmt::format("{}: {}", what_, name(phase)));
  const std::lock_guard lock(mutex_);
  phase_ = phase;
}

void JobWatch::on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) {
  say(fmt::format("{}: retry {} from byte {}: {}", what_, attempt, resume_offset, reason));
}

void JobWatch::on_note(const std::string& text) {
  say(what_ + ": " + text);
}

ProgressSnapshot JobWatch::look() const {
  const std::lock_guard lock(mutex_);
  return view_.look(counters_, phase_, RateMeter::Time::clock::now());
}

std::string JobWatch::status() const {
  const ProgressSnapshot now = look();
  const std::lock_guard lock(mutex_);
  return ingot::agent::sentence(now, device_, erase_);
}

std::string JobWatch::json() const {
  return '{' + progress_event(look()).members + '}';
}

std::string JobWatch::sentence() const {
  const ProgressSnapshot now = look();
  std::string text = fmt::format("{}: {}", what_, name(now.phase));
  if (now.percent) text += fmt::format(" {:.0f} %", *now.percent);
  if (now.receive_rate >= 1)
    text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(now.receive_rate)));
  if (now.eta) text += fmt::format(", {} s left", now.eta->count());
  return text;
}

}  // namespace ingot::agent
