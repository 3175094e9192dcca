#include "disk/compare_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "disk/core/bounded_queue.hpp"
#include "disk/core/units.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kHead = 1 * MiB;
constexpr std::size_t kBufferBytes = 1 * MiB;
constexpr std::uint64_t kZeroPart =
    16 * MiB;  // of a long stretch of zeros, so that all readers work

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Slice data;  // empty: zeros
};

// What the readers work on. Shared with them, since one that the kernel does not let go of outlives
// the sink.
class Readers {
 public:
  Readers(Claim target, unsigned count, DifferenceMap& differences,
          std::atomic<std::uint64_t>& compared, FirstError& job)
      : target_(std::move(target)),
        differences_(differences),
        compared_(compared),
        job_(job),
        stop_(job.token()),
        queue_(std::size_t{2} * count),
        pool_(kBufferBytes + 2 * kBufferAlignment, count),
        running_(count) {}

  Result<void> push(Extent extent) {
    {
      const std::lock_guard lock(mutex_);
      ++pending_;
    }
    if (queue_.push(std::move(extent), stop_)) return {};
    done();
    return fail(Errc::cancelled, "comparing " + target_.path + ": cancelled");
  }

  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return pending_ == 0 || given_up_; });
  }

  // True: a thread may not come back, and none calls the owner any more.
  bool close() {
    queue_.close();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return comparing_ == 0 || !given_up_; });
    return given_up_;
  }

  void run(std::size_t thread) {
    const BufferRef buffer = pool_.try_acquire();
    while (auto extent = queue_.pop({})) {
      // What waits when the job is stopped is dropped, so that drain() ends.
      if (!stop_.stop_requested()) compare(*extent, thread, buffer.bytes());
      *extent = {};
      done();
    }
  }

  // The error of a read that is older than `limit`, which nobody waits for from then on.
  std::optional<Error> find_stall(Clock::duration limit) {
    const std::lock_guard lock(mutex_);
    for (const auto& request : running_) {
      if (!request || Clock::now() - request->since < limit) continue;
      given_up_ = true;
      changed_.notify_all();
      return Error(Errc::write_io,
                   fmt::format("reading {} at byte {}: no answer from the device for {} s",
                               target_.path, request->offset,
                               std::chrono::duration_cast<std::chrono::seconds>(limit).count()),
                   "the disk hangs; check its cabling and health (dmesg, smartctl), or replace it");
    }
    return std::nullopt;
  }

 private:
  void compare(const Extent& extent, std::size_t thread, std::span<std::byte> buffer) {
    const std::uint64_t end = extent.offset + extent.length;
    for (std::uint64_t at = extent.offset; at < end;) {
      if (stop_.stop_requested()) return;
      if (extent.data.empty())
        if (const std::uint64_t data = data_from(at, end); data > at) {
          if (!begin_compare()) return;
          compared_ += data - at;
          end_compare();
          at = data;
          continue;
        }
      const auto length = std::min<std::uint64_t>(end - at, kBufferBytes);
      const auto found = read(at, length, thread, buffer);
      if (!begin_compare()) return;
      if (found) {
        const auto wanted = extent.data.bytes();
        differences_.compare(at, *found,
                             wanted.empty() ? wanted : wanted.subspan(at - extent.offset, length));
        compared_ += length;
      } else {
        job_.report(found.error());
      }
      end_compare();
      if (!found) return;
      at += length;
    }
  }

  // Where a file has data again; its holes are zeros.
  [[nodiscard]] std::uint64_t data_from(std::uint64_t at, std::uint64_t end) const {
    if (target_.block_device) return at;
    const off_t data = ::lseek(target_.fd.get(), static_cast<off_t>(at), SEEK_DATA);
    if (data < 0) return errno == ENXIO ? end : at;
    return std::clamp(align_down(static_cast<std::uint64_t>(data), kBufferAlignment), at, end);
  }

  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t length,
                                          std::size_t thread, std::span<std::byte> buffer) {
    const std::uint64_t before = offset % target_.io_alignment;
    std::uint64_t at = offset - before;
    auto rest = buffer.first(align_up(before + length, target_.io_alignment));
    {
      const std::lock_guard lock(mutex_);
      running_[thread] = PendingRequest{at, Clock::now()};
    }
    int error = 0;
    while (error == 0 && at < offset + length) {
      const ssize_t n = ::pread(target_.fd.get(), rest.data(), rest.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        error = n == 0 ? EIO : errno;
      } else {
        at += static_cast<std::uint64_t>(n);
        rest = rest.subspan(static_cast<std::size_t>(n));
      }
    }
    {
      const std::lock_guard lock(mutex_);
      running_[thread].reset();
    }
    if (error != 0)
      return tl::unexpected(
          system_error(Errc::write_io, fmt::format("reading {} at byte {}", target_.path, at),
                       error, "the disk failed or went away; check its health (dmesg, smartctl)"));
    return std::span<const std::byte>(buffer.subspan(before, length));
  }

  bool begin_compare() {
    const std::lock_guard lock(mutex_);
    if (given_up_) return false;
    ++comparing_;
    return true;
  }

  void end_compare() {
    const std::lock_guard lock(mutex_);
    --comparing_;
    changed_.notify_all();
  }

  void done() {
    const std::lock_guard lock(mutex_);
    --pending_;
    changed_.notify_all();
  }

  const Claim target_;
  // The owner's, touched between begin_compare() and end_compare() only.
  DifferenceMap& differences_;
  std::atomic<std::uint64_t>& compared_;
  FirstError& job_;

  const std::stop_token stop_;
  BoundedQueue<Extent> queue_;
  BufferPool pool_;
  std::mutex mutex_;  // all below
  std::condition_variable changed_;
  std::vector<std::optional<PendingRequest>> running_;  // one a thread
  std::size_t pending_ = 0;
  int comparing_ = 0;
  bool given_up_ = false;
};

}  // namespace

struct CompareSink::Impl {
  Impl(const Claim& on, const CompareOptions& given, DifferenceMap& into, ProgressCounters& counts,
       FirstError& of)
      : target(on),
        options(given),
        differences(into),
        counters(counts),
        job(of),
        pool(kBufferBytes, given.buffer_count) {}

  Result<void> start(std::optional<std::uint64_t> size) {
    if (size && *size > target.size)
      return fail(Errc::device_too_small,
                  fmt::format("the image's disk has {} bytes ({}), {} has {} ({}): they cannot be "
                              "the same",
                              *size, format_bytes(*size), target.path, target.size,
                              format_bytes(target.size)),
                  "check that this is the right disk and the right image");
    virtual_size = size;
    head.resize(std::min({kHead, target.size, size.value_or(UINT64_MAX)}));
    INGOT_TRY_ASSIGN(Claim own, share(target));
    readers = std::make_shared<Readers>(std::move(own), options.readers, differences,
                                        counters.bytes_verified, job);
    for (unsigned i = 0; i < options.readers; ++i)
      threads.emplace_back([shared = readers, i] { shared->run(i); });
    watch = std::jthread([this](const std::stop_token& stop) { watch_for_stall(stop); });
    return {};
  }

  // Ends with the sink, or once the device was found to hang.
  void watch_for_stall(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    const auto step = std::min<Clock::duration>(std::chrono::seconds(1), options.stall_limit / 4);
    for (std::unique_lock lock(mutex); !stop.stop_requested();) {
      never.wait_for(lock, stop, step, [] { return false; });
      if (auto stall = readers->find_stall(options.stall_limit)) {
        job.report(*std::move(stall));
        return;
      }
    }
  }

  Result<void> check(std::uint64_t offset, std::uint64_t length) const {
    if (!readers) return fail(Errc::internal_bug, "an extent before begin()");
    const auto end = checked_add(offset, length);
    if (!end || *end > target.size)
      return fail(
          Errc::image_too_large,
          fmt::format("the image decodes to more than the {} bytes ({}) of {}: they cannot be the "
                      "same",
                      target.size, format_bytes(target.size), target.path),
          "check that this is the right disk and the right image");
    if (virtual_size && *end > *virtual_size)
      return fail(Errc::internal_bug, fmt::format("an extent ends at {}, past the image's size {}",
                                                  *end, *virtual_size));
    if (job.token().stop_requested())
      return tl::unexpected(job.or_else(Error(Errc::cancelled, "comparing: cancelled")));
    return {};
  }

  Result<void> push(Extent extent) {
    if (auto pushed = readers->push(std::move(extent)); !pushed)
      return tl::unexpected(job.or_else(pushed.error()));
    return {};
  }

  const Claim& target;
  const CompareOptions options;
  DifferenceMap& differences;
  ProgressCounters& counters;
  FirstError& job;
  BufferPool pool;
  std::optional<std::uint64_t> virtual_size;
  std::vector<std::byte> head;
  std::atomic<std::uint64_t> head_end{0};
  std::shared_ptr<Readers> readers;
  std::vector<std::jthread> threads;
  std::jthread watch;
};

CompareSink::CompareSink(const Claim& target, const CompareOptions& options,
                         DifferenceMap& differences, ProgressCounters& counters, FirstError& job)
    : impl_(std::make_unique<Impl>(target, options, differences, counters, job)) {}

CompareSink::~CompareSink() {
  if (!impl_->readers) return;
  // Still watched: a thread that hangs in the kernel cannot be ended; it is left alone with what it
  // needs.
  impl_->readers->drain();
  if (impl_->readers->close())
    for (auto& thread : impl_->threads) thread.detach();
}

Result<void> CompareSink::begin(std::optional<std::uint64_t> virtual_size) {
  if (impl_->readers) return fail(Errc::internal_bug, "begin() called twice");
  return impl_->start(virtual_size);
}

Result<BufferRef> CompareSink::buffer() {
  auto buffer = impl_->pool.acquire(impl_->job.token());
  if (!buffer) return tl::unexpected(impl_->job.or_else(buffer.error()));
  return buffer;
}

Result<void> CompareSink::write(std::uint64_t guest_offset, Slice data) {
  INGOT_TRY(impl_->check(guest_offset, data.size()));
  const std::uint64_t limit = impl_->head.size();
  if (guest_offset < limit) {
    // Different threads write different bytes: no byte comes twice.
    const auto part = std::min<std::uint64_t>(data.size(), limit - guest_offset);
    std::memcpy(impl_->head.data() + guest_offset, data.bytes().data(), part);
    for (auto seen = impl_->head_end.load();
         seen < guest_offset + part &&
         !impl_->head_end.compare_exchange_weak(seen, guest_offset + part);) {
    }
    impl_->counters.bytes_verified += part;
    guest_offset += part;
    data = data.sub(part);
  }
  if (data.empty()) return {};
  const std::uint64_t length = data.size();
  return impl_->push({guest_offset, length, std::move(data)});
}

Result<void> CompareSink::zero(std::uint64_t guest_offset, std::uint64_t length) {
  INGOT_TRY(impl_->check(guest_offset, length));
  const std::uint64_t end = guest_offset + length;
  if (const std::uint64_t limit = std::min<std::uint64_t>(impl_->head.size(), end);
      guest_offset < limit) {
    for (auto seen = impl_->head_end.load();
         seen < limit && !impl_->head_end.compare_exchange_weak(seen, limit);) {
    }
    impl_->counters.bytes_verified += limit - guest_offset;
    guest_offset = limit;
  }
  while (guest_offset < end) {
    const std::uint64_t part = std::min(end - guest_offset, kZeroPart);
    INGOT_TRY(impl_->push({guest_offset, part, {}}));
    guest_offset += part;
  }
  return {};
}

Result<void> CompareSink::finish() {
  if (!impl_->readers) return fail(Errc::internal_bug, "finish() before begin()");
  impl_->readers->drain();
  if (auto error = impl_->job.get()) return tl::unexpected(*error);
  if (impl_->job.token().stop_requested()) return fail(Errc::cancelled, "comparing: cancelled");
  return {};
}

std::span<const std::byte> CompareSink::head() const {
  return {impl_->head.data(), std::min<std::size_t>(impl_->head.size(), impl_->head_end)};
}

}  // namespace ingot::disk
