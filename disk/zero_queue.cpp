#include "disk/zero_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

// What is taken at once: the rest of a long range stays where its neighbours can find it.
constexpr std::uint64_t kTake = 256 * MiB;

}  // namespace

ZeroQueue::ZeroQueue(const Claim& target, std::stop_token stop,
                     std::function<void(std::uint64_t)> zeroed, std::function<void(Error)> failed)
    : target_(target),
      stop_(std::move(stop)),
      zeroed_(std::move(zeroed)),
      failed_(std::move(failed)),
      zeroing_(target),
      thread_([this] { run(); }) {}

ZeroQueue::~ZeroQueue() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  ranges_.clear();
  changed_.notify_all();
}

Result<void> ZeroQueue::add(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return {};
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop_, [this] { return ranges_.size() < kMaxRanges; }))
    return fail(Errc::cancelled, fmt::format("zeroing {}: cancelled", target_.path));
  const auto after = ranges_.lower_bound(offset);
  if (after != ranges_.end() && after->first == offset + length) {
    length += after->second;
    ranges_.erase(after);
  }
  const auto next = ranges_.lower_bound(offset);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += length;
      changed_.notify_all();
      return {};
    }
  }
  ranges_.emplace(offset, length);
  changed_.notify_all();
  return {};
}

void ZeroQueue::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop_, [this] { return ranges_.empty() && !busy_; });
}

void ZeroQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!changed_.wait(lock, stop_, [this] { return closed_ || !ranges_.empty(); })) return;
    if (closed_) return;
    const auto longest =
        std::max_element(ranges_.begin(), ranges_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const std::uint64_t offset = longest->first;
    const std::uint64_t length = std::min(longest->second, kTake);
    const std::uint64_t rest = longest->second - length;
    ranges_.erase(longest);
    if (rest > 0) ranges_.emplace(offset + length, rest);
    busy_ = true;
    lock.unlock();
    auto done = zeroing_.run(offset, length, stop_);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
    if (!done) {
      failed_(done.error());
      return;
    }
    zeroed_(length);
  }
}

}  // namespace ingot::disk
