#include "disk/target_scan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "disk/core/units.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {
namespace {

using Clock = std::chrono::steady_clock;

// Shared with the threads, since one that the kernel does not let go of outlives the call.
class Reading {
 public:
  Reading(Claim target, std::uint64_t from, std::uint64_t to, ReadOptions options, TakeBytes take)
      : target_(std::move(target)),
        to_(to),
        options_(std::move(options)),
        take_(std::move(take)),
        next_(from),
        running_(options_.buffers.size()),
        threads_(options_.buffers.size()) {
    // Only what cannot be read directly is read through the cache.
    if (!target_.direct)
      ::posix_fadvise(target_.fd.get(), static_cast<off_t>(from), static_cast<off_t>(to - from),
                      POSIX_FADV_DONTNEED);
  }

  void run(std::size_t thread) {
    while (const auto part = next(thread)) {
      Result<void> done;
      if (part->hole) {
        done = hand_over(part->offset, part->length, {});
      } else {
        const auto data = read(part->offset, part->length, options_.buffers[thread].bytes());
        answered(thread);
        done = data ? hand_over(part->offset, part->length, *data) : tl::unexpected(data.error());
      }
      if (!done) end(done.error());
    }
    const std::lock_guard lock(mutex_);
    --threads_;
    changed_.notify_all();
  }

  // True: a thread may not come back.
  bool wait() {
    const auto step = std::min<Clock::duration>(std::chrono::seconds(1), options_.stall_limit / 4);
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, step, [this] { return threads_ == 0; })) {
      for (const auto& request : running_) {
        if (!request || Clock::now() - request->since < options_.stall_limit) continue;
        if (!error_)
          error_ = Error(
              options_.failure,
              fmt::format(
                  "reading {} at byte {}: no answer from the device for {} s", target_.path,
                  request->offset,
                  std::chrono::duration_cast<std::chrono::seconds>(options_.stall_limit).count()),
              "the disk hangs; check its cabling and health (dmesg, smartctl), or replace it");
        given_up_ = true;
      }
      if (!given_up_) continue;
      if (options_.hung != nullptr) *options_.hung = true;
      // What computes ends by itself, and nothing new is handed over.
      changed_.wait(lock, [this] { return taking_ == 0; });
      return true;
    }
    return false;
  }

  Result<void> outcome() {
    const std::lock_guard lock(mutex_);
    if (error_) return tl::unexpected(*error_);
    if (options_.stop.stop_requested())
      return fail(Errc::cancelled, fmt::format("reading {}: cancelled", target_.path));
    return {};
  }

 private:
  struct Part {
    std::uint64_t offset, length;
    bool hole;
  };

  std::optional<Part> next(std::size_t thread) {
    const std::lock_guard lock(mutex_);
    if (error_ || given_up_ || next_ >= to_ || options_.stop.stop_requested()) return std::nullopt;
    const std::uint64_t offset = next_;
    if (const std::uint64_t data = data_from(offset); data > offset) {
      next_ = data;
      return Part{offset, data - offset, true};
    }
    // Up to a multiple of the buffer's size, so that parts do not straddle a reader's own grid.
    const std::uint64_t size = options_.buffers[thread].bytes().size();
    next_ = std::min(to_, (offset / size + 1) * size);
    running_[thread] = PendingRequest{offset, Clock::now()};
    return Part{offset, next_ - offset, false};
  }

  // Where a file's data begins, at `offset` or behind it.
  std::uint64_t data_from(std::uint64_t offset) {
    if (target_.block_device) return offset;
    if (offset < data_end_) return offset;
    const off_t data = ::lseek(target_.fd.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) return errno == ENXIO ? to_ : offset;
    const off_t end = ::lseek(target_.fd.get(), data, SEEK_HOLE);
    if (end > data) data_end_ = static_cast<std::uint64_t>(end);
    const auto begin = align_down(static_cast<std::uint64_t>(data), kBufferAlignment);
    return std::clamp(begin, offset, to_);
  }

  // The requests are aligned as the descriptor needs it; what was asked for lies within.
  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t length,
                                          std::span<std::byte> buffer) {
    const std::uint64_t before = offset % target_.io_alignment;
    std::uint64_t at = offset - before;
    const std::uint64_t whole = align_up(before + length, target_.io_alignment);
    std::span<std::byte> rest = buffer.first(whole);
    // A file may end inside the last block.
    while (at < offset + length) {
      const ssize_t n = ::pread(target_.fd.get(), rest.data(), rest.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        return tl::unexpected(
            system_error(options_.failure, fmt::format("reading {} at byte {}", target_.path, at),
                         n == 0 ? EIO : errno,
                         "the disk failed or went away; check its cabling and health (dmesg, "
                         "smartctl) or replace it"));
      at += static_cast<std::uint64_t>(n);
      rest = rest.subspan(static_cast<std::size_t>(n));
    }
    return std::span<const std::byte>(buffer.subspan(before, length));
  }

  void answered(std::size_t thread) {
    const std::lock_guard lock(mutex_);
    running_[thread].reset();
  }

  Result<void> hand_over(std::uint64_t offset, std::uint64_t length,
                         std::span<const std::byte> data) {
    {
      const std::lock_guard lock(mutex_);
      if (given_up_) return {};
      ++taking_;
    }
    auto taken = take_(offset, length, data);
    const std::lock_guard lock(mutex_);
    --taking_;
    changed_.notify_all();
    return taken;
  }

  void end(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }

  const Claim target_;
  const std::uint64_t to_;
  const ReadOptions options_;
  const TakeBytes take_;
  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  std::uint64_t next_;
  std::uint64_t data_end_ = 0;                          // of a file: where the data at next_ ends
  std::vector<std::optional<PendingRequest>> running_;  // one a thread
  std::size_t threads_;
  int taking_ = 0;
  bool given_up_ = false;
  std::optional<Error> error_;
};

}  // namespace

Result<void> scan_target(const Claim& target, std::uint64_t from, std::uint64_t to,
                         ReadOptions options, TakeBytes take) {
  if (from >= to) return {};
  if (options.buffers.empty()) return fail(Errc::internal_bug, "reading without a buffer");
  INGOT_TRY_ASSIGN(Claim own, share(target));
  const std::size_t count = options.buffers.size();
  const auto reading =
      std::make_shared<Reading>(std::move(own), from, to, std::move(options), std::move(take));
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back([reading, i] { reading->run(i); });
  // A thread that hangs in the kernel cannot be ended; it is left alone with what it needs.
  if (reading->wait())
    for (auto& thread : threads) thread.detach();
  return reading->outcome();
}

}  // namespace ingot::disk
