#include "agent/ironic/heartbeats.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Heartbeats::Heartbeats(IronicClient& client, const NodeState& node, std::string callback_url,
                       std::string certificate, std::chrono::seconds timeout, HeartbeatTimes times)
    : client_(client),
      node_(node),
      callback_url_(std::move(callback_url)),
      certificate_(std::move(certificate)),
      timeout_(timeout),
      times_(times),
      latest_(Clock::now() + times.longest_attempt),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Heartbeats::~Heartbeats() = default;

void Heartbeats::force() {
  {
    const std::lock_guard lock(mutex_);
    forced_ = true;
  }
  changed_.notify_all();
}

void Heartbeats::stop() {
  thread_.request_stop();
}

bool Heartbeats::on_time() const {
  const std::lock_guard lock(mutex_);
  return Clock::now() < latest_;
}

void Heartbeats::run(const std::stop_token& stop) {
  std::mt19937 random{std::random_device{}()};
  while (!stop.stop_requested()) {
    const auto begun = Clock::now();
    bool was_forced = false;
    {
      // What ends while this one is under way may have come too late for it.
      const std::lock_guard lock(mutex_);
      was_forced = std::exchange(forced_, false);
      latest_ = begun + times_.longest_attempt;
    }
    const bool sent = send(stop);
    std::unique_lock lock(mutex_);
    if (!sent && was_forced) forced_ = true;
    double seconds = 0;
    if (sent)
      seconds = std::uniform_real_distribution<>(times_.least, times_.most)(random) *
                static_cast<double>(timeout_.count());
    else
      seconds = std::uniform_real_distribution<>(
          std::chrono::duration<double>(times_.retry_least).count(),
          std::chrono::duration<double>(times_.retry_most).count())(random);
    const auto due =
        begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    const auto soonest = begun + times_.forced_gap;
    latest_ = std::max(due, soonest) + times_.slack;
    changed_.wait_until(lock, stop, due, [&] { return forced_; });
    if (forced_ && Clock::now() < soonest)
      changed_.wait_until(lock, stop, soonest, [] { return false; });
  }
}

bool Heartbeats::send(const std::stop_token& stop) {
  Heartbeat heartbeat{callback_url_, node_.token(), certificate_, {}};
  if (const auto job = node_.job()) heartbeat.message = job->sentence();
  const auto sent = client_.heartbeat(node_.uuid(), heartbeat, stop);
  if (stop.stop_requested()) return false;
  if (!sent)
    say(fmt::format("warning: {}", sent.error().message()));
  else if (failing_)
    say("heartbeats are taken again");
  failing_ = !sent;
  return sent.has_value();
}

}  // namespace ingot::agent
