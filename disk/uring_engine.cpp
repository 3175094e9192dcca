#include <fmt/format.h>
#include <liburing.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "disk/io_engine.hpp"

namespace ingot::disk {
namespace {

using Clock = std::chrono::steady_clock;

// A device that answers slower than this gets fewer writes at once, so that one that is overloaded
// (a slow USB stick, a degraded array) is not given minutes of work that nobody can cancel.
constexpr auto kSlow = std::chrono::milliseconds(1000);
constexpr auto kFast = std::chrono::milliseconds(200);
// No write takes this long on a device that works.
constexpr auto kStalled = std::chrono::seconds(120);

class UringEngine final : public IoEngine {
 public:
  UringEngine(Config config, const io_uring& ring)
      : config_(std::move(config)), ring_(ring), slots_(config_.queue_depth) {
    for (std::size_t i = slots_.size(); i-- > 0;) free_.push_back(i);
    depth_ = slots_.size();
    reaper_ = std::jthread([this] { reap(); });
  }
  ~UringEngine() override {
    drain();
    {
      // A request that only the reaper understands.
      const std::lock_guard lock(mutex_);
      io_uring_sqe* entry = io_uring_get_sqe(&ring_);
      io_uring_prep_nop(entry);
      io_uring_sqe_set_data64(entry, kStop);
      io_uring_submit(&ring_);
    }
    reaper_.join();
    io_uring_queue_exit(&ring_);
  }
  UringEngine(const UringEngine&) = delete;
  UringEngine& operator=(const UringEngine&) = delete;

  Result<void> submit(std::uint64_t offset, Slice data) override {
    std::unique_lock lock(mutex_);
    if (!room_.wait(lock, config_.stop, [this] { return slots_.size() - free_.size() < depth_; }))
      return fail(Errc::cancelled, fmt::format("writing {}: cancelled", config_.path));
    const std::size_t index = free_.back();
    free_.pop_back();
    slots_[index] = {offset, 0, std::move(data), Clock::now()};
    send(index);
    return {};
  }

  void drain() override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return free_.size() == slots_.size() || abandoned_; });
  }

 private:
  static constexpr std::uint64_t kStop = ~0ULL;
  struct Slot {
    std::uint64_t offset = 0;
    std::size_t done = 0;  // bytes of `data` written so far
    Slice data;
    Clock::time_point since;
  };

  // Mutex held. The ring has as many entries as there are slots, so there is always one free.
  void send(std::size_t index) {
    const Slot& slot = slots_[index];
    const auto rest = slot.data.bytes().subspan(slot.done);
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_write(entry, config_.fd, rest.data(), static_cast<unsigned>(rest.size()),
                        slot.offset + slot.done);
    io_uring_sqe_set_data64(entry, index);
    int sent = 0;
    do sent = io_uring_submit(&ring_);
    while (sent == -EINTR || sent == -EAGAIN || sent == -EBUSY);
    if (sent < 0) finish(index, sent);
  }

  void reap() {
    for (;;) {
      __kernel_timespec second{1, 0};
      io_uring_cqe* completion = nullptr;
      const int waited = io_uring_wait_cqe_timeout(&ring_, &completion, &second);
      std::unique_lock lock(mutex_);
      if (waited < 0 || completion == nullptr) {
        look_for_stall();
        continue;
      }
      const std::uint64_t index = completion->user_data;
      const int result = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      if (index == kStop) return;
      Slot& slot = slots_[index];
      if (result > 0) {
        slot.done += static_cast<std::size_t>(result);
        if (slot.done < slot.data.size()) {
          send(index);  // a short write: the rest again
          continue;
        }
      } else if (result == -EAGAIN || result == -EINTR) {
        send(index);
        continue;
      }
      finish(index, result == 0 ? -EIO : result);
    }
  }

  // Mutex held.
  void finish(std::size_t index, int result) {
    const Slot slot = std::move(slots_[index]);
    slots_[index] = {};
    free_.push_back(index);
    adapt(Clock::now() - slot.since);
    room_.notify_all();
    if (result < 0) {
      if (!std::exchange(failed_, true))
        config_.failed(write_error(config_.path, slot.offset + slot.done, -result));
    } else {
      config_.written(slot.data.size());
    }
  }

  void adapt(Clock::duration took) {
    if (took > kSlow) {
      depth_ = std::max<std::size_t>(1, depth_ / 2);
    } else if (took < kFast) {
      depth_ = std::min(slots_.size(), depth_ + 1);
    }
  }

  void look_for_stall() {
    const auto now = Clock::now();
    for (const Slot& slot : slots_) {
      if (slot.data.empty() || now - slot.since < kStalled || failed_) continue;
      failed_ = true;
      abandoned_ = true;
      config_.failed(
          Error(Errc::write_io,
                fmt::format("writing {} at byte {}: no answer from the device for {} s",
                            config_.path, slot.offset, std::chrono::seconds(kStalled).count()),
                "the disk hangs; check its cabling and health (dmesg), or replace it"));
      room_.notify_all();
    }
  }

  const Config config_;
  io_uring ring_;
  std::mutex mutex_;  // the submission side of ring_, and all below
  std::condition_variable_any room_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
  std::size_t depth_ = 0;  // how many slots may be used at the moment
  bool failed_ = false;
  bool abandoned_ = false;  // the device hangs: drain() does not wait for it
  std::jthread reaper_;
};

}  // namespace

std::unique_ptr<IoEngine> make_uring_engine(IoEngine::Config config) {
  io_uring ring{};
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
