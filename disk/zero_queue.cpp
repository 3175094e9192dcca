#include "disk/zero_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "disk/zeroing.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kMaxRanges = 4096;

}  // namespace

// Shared with the thread, since one that the kernel does not let go of outlives the queue.
class ZeroQueue::Work {
 public:
  Work(std::shared_ptr<const Claim> target, std::stop_token stop,
       std::function<void(std::uint64_t)> zeroed, std::function<void(Error)> failed)
      : target_(std::move(target)),
        stop_(std::move(stop)),
        zeroed_(std::move(zeroed)),
        failed_(std::move(failed)),
        zeroing_(*target_) {}

  Result<void> add(std::uint64_t offset, std::uint64_t length) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop_, [this] { return ranges_.size() < kMaxRanges; }))
      return fail(Errc::cancelled, fmt::format("zeroing {}: cancelled", target_->path));
    const auto after = ranges_.lower_bound(offset);
    if (after != ranges_.end() && after->first == offset + length) {
      length += after->second;
      ranges_.erase(after);
    }
    const auto next = ranges_.lower_bound(offset);
    if (next != ranges_.begin() && std::prev(next)->first + std::prev(next)->second == offset)
      std::prev(next)->second += length;
    else
      ranges_.emplace(offset, length);
    changed_.notify_all();
    return {};
  }

  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop_, [this] { return (ranges_.empty() && !running_) || given_up_; });
  }

  void cancel() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    ranges_.clear();
    changed_.notify_all();
    changed_.wait(lock, [this] { return !running_ || given_up_; });
  }

  std::optional<PendingRequest> oldest() {
    const std::lock_guard lock(mutex_);
    return running_;
  }

  void give_up() {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    changed_.notify_all();
  }

  // No more work and, if it was given up (true), no more calls to the owner from when this returns.
  bool close() {
    const std::scoped_lock lock(mutex_, owner_);
    closed_ = true;
    ranges_.clear();
    owner_gone_ = given_up_;
    changed_.notify_all();
    return given_up_;
  }

  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop_, [this] { return closed_ || !ranges_.empty(); }) || closed_ ||
          given_up_)
        return;
      const auto [offset, length] = take();
      lock.unlock();
      const auto done = zeroing_.run(offset, length, stop_);
      {
        const std::lock_guard told(owner_);
        if (!done && !owner_gone_) failed_(done.error());
        if (done && !owner_gone_) zeroed_(length);
      }
      lock.lock();
      running_.reset();
      changed_.notify_all();
      if (!done) return;
    }
  }

 private:
  // Mutex held. One step of the longest range; the rest stays where its neighbours can find it.
  std::pair<std::uint64_t, std::uint64_t> take() {
    const auto longest =
        std::max_element(ranges_.begin(), ranges_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const std::uint64_t offset = longest->first;
    const std::uint64_t length = std::min(longest->second, zeroing_.step_bytes());
    const std::uint64_t rest = longest->second - length;
    ranges_.erase(longest);
    if (rest > 0) ranges_.emplace(offset + length, rest);
    running_ = PendingRequest{offset, std::chrono::steady_clock::now()};
    changed_.notify_all();
    return {offset, length};
  }

  const std::shared_ptr<const Claim> target_;
  const std::stop_token stop_;
  const std::function<void(std::uint64_t)> zeroed_;
  const std::function<void(Error)> failed_;
  Zeroing zeroing_;   // the thread's own
  std::mutex mutex_;  // all below but owner_gone_
  std::condition_variable_any changed_;
  std::map<std::uint64_t, std::uint64_t> ranges_;  // offset → length, neighbours merged
  std::optional<PendingRequest> running_;
  bool closed_ = false;
  bool given_up_ = false;
  std::mutex owner_;  // held while the owner is told
  bool owner_gone_ = false;
};

ZeroQueue::ZeroQueue(std::shared_ptr<const Claim> target, std::stop_token stop,
                     std::function<void(std::uint64_t)> zeroed, std::function<void(Error)> failed)
    : work_(std::make_shared<Work>(std::move(target), std::move(stop), std::move(zeroed),
                                   std::move(failed))),
      thread_([work = work_] { work->run(); }) {}

ZeroQueue::~ZeroQueue() {
  // A thread that hangs in the kernel cannot be ended; it is left alone with what it needs.
  if (work_->close()) thread_.detach();
}

Result<void> ZeroQueue::add(std::uint64_t offset, std::uint64_t length) {
  return length == 0 ? Result<void>{} : work_->add(offset, length);
}
void ZeroQueue::drain() {
  work_->drain();
}
void ZeroQueue::cancel() {
  work_->cancel();
}
std::optional<PendingRequest> ZeroQueue::oldest() {
  return work_->oldest();
}
void ZeroQueue::give_up() {
  work_->give_up();
}

}  // namespace ingot::disk
