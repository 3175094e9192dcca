#include <fmt/format.h>
#include <liburing.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "disk/io_engine.hpp"

namespace ingot::disk {
namespace {

using Clock = std::chrono::steady_clock;

// A device that answers slower than this gets fewer writes at once, so that one that is overloaded
// (a slow USB stick, a degraded array) is not given minutes of work that nobody can cancel.
constexpr auto kSlow = std::chrono::milliseconds(1000);
constexpr auto kFast = std::chrono::milliseconds(200);

// Held while a ring is mapped or unmapped: liburing does that by system calls that ThreadSanitizer
// does not see, and a new ring may lie where one was that another thread has just given back.
std::mutex ring_mapping;

// The ring and what is in flight on it. Shared with the thread that reaps it, since a request that
// the kernel does not let go of outlives the engine, and its buffer must too.
class Ring {
 public:
  Ring(IoEngine::Config config, const io_uring& ring)
      : config_(std::move(config)), ring_(ring), slots_(config_.queue_depth) {
    for (std::size_t i = slots_.size(); i-- > 0;) free_.push_back(i);
    depth_ = slots_.size();
  }
  ~Ring() {
    const std::lock_guard lock(ring_mapping);
    io_uring_queue_exit(&ring_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  Result<void> submit(std::uint64_t offset, Slice data) {
    std::unique_lock lock(mutex_);
    if (!room_.wait(lock, config_.stop,
                    [this] { return slots_.size() - free_.size() < depth_ && !given_up_; }))
      return fail(Errc::cancelled, fmt::format("writing {}: cancelled", config_.target->path));
    const std::size_t index = free_.back();
    free_.pop_back();
    slots_[index] = {offset, 0, std::move(data), Clock::now()};
    send(index);
    return {};
  }

  void drain() {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return free_.size() == slots_.size() || given_up_; });
  }

  std::optional<PendingRequest> oldest() {
    const std::lock_guard lock(mutex_);
    std::optional<PendingRequest> first;
    for (const Slot& slot : slots_)
      if (!slot.data.empty() && (!first || slot.since < first->since))
        first = PendingRequest{slot.offset + slot.done, slot.since};
    return first;
  }

  void give_up() {
    {
      const std::lock_guard lock(mutex_);
      given_up_ = failed_ = true;
    }
    room_.notify_all();
  }

  // No more work and, if it was given up (true), no more calls to the owner from when this returns.
  bool close() {
    const std::scoped_lock lock(mutex_, owner_);
    // A request that only reap() understands.
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data64(entry, kStop);
    send_queued();
    owner_gone_ = given_up_;
    return given_up_;
  }

  // Ends once closed and nothing is in flight.
  void reap() {
    bool closed = false, unsent = false;
    while (!closed || !idle()) {
      // The wait is short only for what could not be sent.
      __kernel_timespec wait{unsent ? 0 : 1, unsent ? 10'000'000 : 0};
      io_uring_cqe* completion = nullptr;
      const int waited = io_uring_wait_cqe_timeout(&ring_, &completion, &wait);
      std::unique_lock lock(mutex_);
      if (unsent_) send_queued();
      unsent = unsent_;
      if (waited < 0 || completion == nullptr) continue;
      const std::uint64_t index = completion->user_data;
      const int result = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      if (index == kStop) {
        closed = true;
        continue;
      }
      Slot& slot = slots_[index];
      if (result > 0) slot.done += static_cast<std::size_t>(result);
      const bool again = result == -EAGAIN || result == -EINTR;
      if (again || (result > 0 && slot.done < slot.data.size()))
        send(index);  // also the rest of a short write
      else
        finish(lock, index, result == 0 ? -EIO : result);
    }
  }

 private:
  static constexpr std::uint64_t kStop = ~0ULL;
  struct Slot {
    std::uint64_t offset = 0;
    std::size_t done = 0;  // bytes of `data` written so far
    Slice data;
    Clock::time_point since;
  };

  bool idle() {
    const std::lock_guard lock(mutex_);
    return free_.size() == slots_.size();
  }

  // Mutex held. The ring has as many entries as there are slots, so there is always one free.
  void send(std::size_t index) {
    const Slot& slot = slots_[index];
    const auto rest = slot.data.bytes().subspan(slot.done);
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_write(entry, config_.target->fd.get(), rest.data(),
                        static_cast<unsigned>(rest.size()), slot.offset + slot.done);
    io_uring_sqe_set_data64(entry, index);
    send_queued();
  }

  // Mutex held. What a kernel short of memory does not take now stays queued; the reaper tries it
  // again.
  void send_queued() {
    io_uring_submit(&ring_);
    unsent_ = io_uring_sq_ready(&ring_) > 0;
  }

  // The owner is told without the mutex, and before drain() can see the slot free.
  void finish(std::unique_lock<std::mutex>& lock, std::size_t index, int result) {
    Slot slot = std::exchange(slots_[index], {});
    adapt(Clock::now() - slot.since);
    const bool first_failure = result < 0 && !std::exchange(failed_, true);
    lock.unlock();
    {
      const std::lock_guard told(owner_);
      if (first_failure && !owner_gone_)
        config_.failed(write_error(config_.target->path, slot.offset + slot.done, -result));
      else if (result > 0 && !owner_gone_)
        config_.written(slot.data.size());
    }
    slot = {};
    lock.lock();
    free_.push_back(index);
    room_.notify_all();
  }

  void adapt(Clock::duration took) {
    if (took > kSlow) {
      depth_ = std::max<std::size_t>(1, depth_ / 2);
    } else if (took < kFast) {
      depth_ = std::min(slots_.size(), depth_ + 1);
    }
  }

  const IoEngine::Config config_;
  io_uring ring_;
  std::mutex mutex_;  // the submission side of ring_, and all below but owner_gone_
  std::condition_variable_any room_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
  std::size_t depth_ = 0;  // how many slots may be used at the moment
  bool unsent_ = false;    // the ring holds what the kernel has not taken yet
  bool failed_ = false;
  bool given_up_ = false;
  std::mutex owner_;  // held while the owner is told
  bool owner_gone_ = false;
};

class UringEngine final : public IoEngine {
 public:
  UringEngine(Config config, const io_uring& ring)
      : ring_(std::make_shared<Ring>(std::move(config), ring)),
        reaper_([shared = ring_] { shared->reap(); }) {}
  ~UringEngine() override {
    drain();
    // What hangs in the kernel cannot be ended; it is left alone with what it needs.
    if (ring_->close()) reaper_.detach();
  }
  UringEngine(const UringEngine&) = delete;
  UringEngine& operator=(const UringEngine&) = delete;

  Result<void> submit(std::uint64_t offset, Slice data) override {
    return ring_->submit(offset, std::move(data));
  }
  void drain() override { ring_->drain(); }
  std::optional<PendingRequest> oldest() override { return ring_->oldest(); }
  void give_up() override { ring_->give_up(); }

 private:
  std::shared_ptr<Ring> ring_;
  std::jthread reaper_;
};

}  // namespace

std::unique_ptr<IoEngine> make_uring_engine(IoEngine::Config config) {
  io_uring ring{};
  const std::lock_guard lock(ring_mapping);
  // One entry more than slots, for the request that stops the reaper.
  if (io_uring_queue_init(config.queue_depth + 1, &ring, 0) < 0) return nullptr;
  // Without it a wait with a time limit would use the submission side.
  if ((ring.features & IORING_FEAT_EXT_ARG) == 0) {
    io_uring_queue_exit(&ring);
    return nullptr;
  }
  return std::make_unique<UringEngine>(std::move(config), ring);
}

}  // namespace ingot::disk
