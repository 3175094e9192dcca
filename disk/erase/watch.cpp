#include "disk/erase/watch.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <memory>
#include <thread>
#include <utility>

namespace ingot::disk {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{100};  // how often the caller's thread passes news on

// Shared with the thread.
struct Work {
  Work(Claim claimed, std::stop_token stop) : target(std::move(claimed)), watch(std::move(stop)) {}

  const Claim target;
  Watch watch;
  std::mutex mutex;  // all below
  std::condition_variable changed;
  std::optional<EraseOutcome> outcome;
};

void pass_on(Watch& watch, ProgressCounters& counters, JobListener& listener) {
  counters.bytes_zeroed += watch.take_bytes();
  for (auto& news : watch.take_news()) {
    if (const auto* phase = std::get_if<Phase>(&news))
      listener.on_phase(*phase);
    else
      listener.on_note(std::get<std::string>(news));
  }
}

EraseOutcome stalled(const Work& work, const PendingRequest& request,
                     std::chrono::milliseconds limit) {
  EraseOutcome outcome;
  outcome.state = work.watch.state();
  outcome.error = Error(
      Errc::write_io,
      fmt::format("erasing {} at byte {}: no answer from the device for {} s", work.target.path,
                  request.offset, std::chrono::duration_cast<std::chrono::seconds>(limit).count()),
      "the disk hangs; check its cabling and health (dmesg, smartctl), or replace it");
  return outcome;
}

}  // namespace

Watch::Request Watch::request(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  pending_ = PendingRequest{offset, Clock::now()};
  return Request(*this);
}

void Watch::answered() {
  const std::lock_guard lock(mutex_);
  pending_.reset();
}

Result<void> Watch::not_stopped(const std::string& path) const {
  if (!stop_.stop_requested()) return {};
  return fail(Errc::cancelled, fmt::format("erasing {}: cancelled", path));
}

std::vector<Watch::News> Watch::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

std::optional<PendingRequest> Watch::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Watch::tell(News news) {
  const std::lock_guard lock(mutex_);
  news_.push_back(std::move(news));
}

EraseOutcome run_watched(const Claim& target,
                         std::function<EraseOutcome(const Claim&, Watch&)> work,
                         ProgressCounters& counters, JobListener& listener, std::stop_token stop,
                         std::chrono::milliseconds stall_limit) {
  auto own = share(target);
  if (!own) {
    EraseOutcome outcome;
    outcome.error = own.error();
    return outcome;
  }
  const auto shared = std::make_shared<Work>(*std::move(own), std::move(stop));
  std::jthread thread([shared, work = std::move(work)] {
    EraseOutcome outcome = work(shared->target, shared->watch);
    const std::lock_guard lock(shared->mutex);
    shared->outcome = std::move(outcome);
    shared->changed.notify_all();
  });
  std::unique_lock lock(shared->mutex);
  while (!shared->changed.wait_for(lock, std::min(kLook, stall_limit / 4),
                                   [&] { return shared->outcome.has_value(); })) {
    lock.unlock();
    pass_on(shared->watch, counters, listener);
    if (const auto request = shared->watch.pending();
        request && Clock::now() - request->since >= stall_limit) {
      // A thread that hangs in the kernel cannot be ended; it is left alone with what it needs.
      thread.detach();
      return stalled(*shared, *request, stall_limit);
    }
    lock.lock();
  }
  pass_on(shared->watch, counters, listener);
  return *std::move(shared->outcome);
}

}  // namespace ingot::disk
