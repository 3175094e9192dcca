#include "disk/device_writer.hpp"

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

#include "disk/core/units.hpp"
#include "disk/head_gate.hpp"
#include "disk/image_ending.hpp"
#include "disk/io_engine.hpp"
#include "disk/read_target.hpp"
#include "disk/readback.hpp"
#include "disk/table/table_plan.hpp"
#include "disk/zero_queue.hpp"
#include "disk/zeroing.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kWithheld = 1 * MiB;
constexpr std::size_t kBufferBytes = 1 * MiB;
constexpr std::size_t kReadsInFlight = 4;

// One stretch of the target that is kept in memory until commit.
struct Withheld {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::unique_ptr<std::byte[], void (*)(std::byte*)> bytes{nullptr, [](std::byte*) {}};

  void allocate(std::uint64_t from, std::uint64_t to) {
    begin = from;
    end = to;
    const std::size_t size = std::max<std::size_t>(align_up(to - from, kBufferAlignment), 1);
    bytes = {static_cast<std::byte*>(::operator new[](size, std::align_val_t{kBufferAlignment})),
             [](std::byte* p) { ::operator delete[](p, std::align_val_t{kBufferAlignment}); }};
    std::memset(bytes.get(), 0, size);
  }
  [[nodiscard]] std::span<const std::byte> all() const { return {bytes.get(), end - begin}; }
};

}  // namespace

struct DeviceWriter::Impl {
  Impl(const Claim& claimed, const WriterOptions& given, ProgressCounters& counts, FirstError& of)
      : target(claimed),
        options(given),
        counters(counts),
        job(of),
        pool(kBufferBytes, given.buffer_count) {
    head.allocate(0, std::min(kWithheld, target.size));
    const std::uint64_t tail_begin = target.size > 2 * kWithheld
                                         ? align_down(target.size - kWithheld, kBufferAlignment)
                                         : head.end;
    tail.allocate(tail_begin, target.size);
  }

  Result<void> prepare(std::optional<std::uint64_t> size) {
    if (size && *size > target.size)
      return fail(
          Errc::device_too_small,
          fmt::format("the image's disk has {} bytes ({}), {} has {} ({}): {} bytes too few", *size,
                      format_bytes(*size), target.path, target.size, format_bytes(target.size),
                      *size - target.size),
          "choose a larger disk or a smaller image");
    virtual_size = size;
    if (options.dry_run) ending.expect(size);
    begun = true;
    return {};
  }

  // Nothing is held back from a rehearsal: it touches nothing.
  Result<bool> pass(std::uint64_t from, std::uint64_t to, const std::byte* data) {
    return options.dry_run ? Result<bool>(true) : gate.pass(from, to, data);
  }

  [[nodiscard]] std::uint64_t whole_head() const {
    return std::min(head.end, virtual_size.value_or(head.end));
  }

  // The last moment at which the target is as it was: judges the table by what is known of it, and
  // touches the target.
  Result<void> open_target() {
    if (complete || gate.head_seen() >= whole_head()) {
      const auto plan = plan_table(first_view(), table_disk(target), options.config_drive);
      if (!plan) return tl::unexpected(plan.error());
    }
    return options.dry_run ? Result<void>{} : prepare_target();
  }

  // The head is there, and what can be looked at; nothing has been written yet.
  [[nodiscard]] ImageView first_view() const {
    const auto read = [this](std::uint64_t offset, std::span<std::byte> bytes) -> Result<bool> {
      for (const Withheld* region : {&head, &tail}) {
        if (offset < region->begin || offset > region->end || bytes.size() > region->end - offset ||
            (region == &tail && !complete))
          continue;
        std::memcpy(bytes.data(), region->bytes.get() + (offset - region->begin), bytes.size());
        return true;
      }
      // What cannot be had now is judged when it has come.
      return !complete && ahead && ahead(offset, bytes).has_value();
    };
    return {complete ? image_end() : virtual_size, read};
  }

  // All of it is there, and either withheld or written.
  [[nodiscard]] ImageView image() const {
    return {image_end(),
            [this](std::uint64_t offset, std::span<std::byte> bytes) -> Result<bool> {
              for (const Withheld* region : {&head, &tail}) {
                const std::uint64_t from = std::max(offset, region->begin);
                const std::uint64_t to = std::min(offset + bytes.size(), region->end);
                if (from < to)
                  std::memcpy(bytes.data() + (from - offset),
                              region->bytes.get() + (from - region->begin), to - from);
              }
              const std::uint64_t from = std::max(offset, head.end);
              const std::uint64_t to = std::min(offset + bytes.size(), tail.begin);
              if (from >= to) return true;
              const auto middle = bytes.subspan(from - offset, to - from);
              if (options.dry_run) return ending.read(from, middle);
              INGOT_TRY(read_target(target, from, middle));
              return true;
            },
            true};
  }

  Result<void> prepare_target() {
    INGOT_TRY_ASSIGN(Claim own, share(target));
    const auto shared = std::make_shared<const Claim>(std::move(own));
    touched = true;
    // Before anything else, and on the medium: from here on the old system does not boot either.
    INGOT_TRY(wipe_withheld());

    if (options.verify_readback) readback.emplace(target);
    const auto failed = [this](Error error) { job.report(std::move(error)); };
    const IoEngine::Config config{shared, options.queue_depth, job.token(),
                                  [this](std::uint64_t n) { counters.bytes_written += n; }, failed};
    if (options.use_io_uring) engine = make_uring_engine(config);
    if (!engine) engine = make_pwrite_engine(config);
    zeroes.emplace(
        shared, job.token(), [this](std::uint64_t n) { counters.bytes_zeroed += n; }, failed);
    watch = std::jthread([this](std::stop_token stop) { watch_for_stall(std::move(stop)); });
    return {};
  }

  // Ends with the writer, or once the device was found to hang.
  void watch_for_stall(std::stop_token stop) {
    using Clock = std::chrono::steady_clock;
    std::mutex mutex;
    std::condition_variable_any never;
    const auto step = std::min<Clock::duration>(std::chrono::seconds(1), options.stall_limit / 4);
    for (std::unique_lock lock(mutex); !stop.stop_requested();) {
      never.wait_for(lock, stop, step, [] { return false; });
      for (const auto& request : {engine->oldest(), zeroes->oldest()}) {
        if (!request || Clock::now() - request->since < options.stall_limit) continue;
        stalled = true;
        job.report(Error(
            Errc::write_io,
            fmt::format(
                "writing {} at byte {}: no answer from the device for {} s", target.path,
                request->offset,
                std::chrono::duration_cast<std::chrono::seconds>(options.stall_limit).count()),
            "the disk hangs; check its cabling and health (dmesg, smartctl), or replace it"));
        engine->give_up();
        zeroes->give_up();
        return;
      }
    }
  }

  // Refuses an extent that does not fit, before anything is done with it.
  Result<void> check(std::uint64_t offset, std::uint64_t length) {
    if (!begun) return fail(Errc::internal_bug, "an extent before begin()");
    const auto end = checked_add(offset, length);
    if (!end || *end > target.size)
      return fail(Errc::image_too_large,
                  fmt::format("the image decodes to more than the {} bytes ({}) of {}", target.size,
                              format_bytes(target.size), target.path),
                  "choose a larger disk; if the image should be smaller, it is damaged or hostile");
    if (virtual_size && *end > *virtual_size)
      return fail(Errc::internal_bug, fmt::format("an extent ends at {}, past the image's size {}",
                                                  *end, *virtual_size));
    if (job.token().stop_requested())
      return tl::unexpected(job.or_else(Error(Errc::cancelled, "writing: cancelled")));
    if (finished) {
      if (readback && !readback->complete())
        return fail(Errc::internal_bug, "an extent between finish() and verify()");
      finished = false;  // it has to be waited for and flushed as well
    }
    for (auto seen = highest.load(); seen < *end && !highest.compare_exchange_weak(seen, *end);) {
    }
    return {};
  }

  // Splits [offset, offset + length) at the withheld regions: `withheld(region, from, to)` for what
  // lies in one, `open(from, to)` for the rest.
  template <class InRegion, class Open>
  Result<void> split(std::uint64_t offset, std::uint64_t length, InRegion withheld, Open open) {
    const std::uint64_t end = offset + length;
    for (Withheld* region : {&head, &tail}) {
      const std::uint64_t from = std::max(offset, region->begin);
      const std::uint64_t to = std::min(end, region->end);
      if (from < to) INGOT_TRY(withheld(*region, from, to));
    }
    const std::uint64_t from = std::max(offset, head.end);
    const std::uint64_t to = std::min(end, tail.begin);
    return from < to ? open(from, to) : Result<void>{};
  }

  Result<void> keep(Withheld& region, std::uint64_t from, std::uint64_t to, const std::byte* data) {
    if (data != nullptr) {
      // Different threads write different bytes: no byte comes twice.
      std::memcpy(region.bytes.get() + (from - region.begin), data, to - from);
      counters.bytes_written += to - from;
    } else {
      std::memset(region.bytes.get() + (from - region.begin), 0, to - from);
      counters.bytes_zeroed += to - from;
    }
    return &region == &head ? gate.head_came(to - from, whole_head()) : Result<void>{};
  }

  Result<void> write_now(std::uint64_t offset, Slice data) {
    if (readback) INGOT_TRY(readback->wrote(offset, data.bytes()));
    return write_open(offset, std::move(data));
  }

  Result<void> zero_now(std::uint64_t from, std::uint64_t to) {
    if (readback) INGOT_TRY(readback->zeroed(from, to - from));
    return zero_open(from, to);
  }

  Result<void> write_open(std::uint64_t offset, Slice data) {
    const std::uint64_t align = target.io_alignment;
    // The unaligned edges first, one by one; what is between them goes out as it is.
    const std::uint64_t from = align_up(offset, align);
    const std::uint64_t to = align_down(offset + data.size(), align);
    if (from >= to) return write_edge(offset, data.bytes());
    if (offset < from) INGOT_TRY(write_edge(offset, data.bytes().first(from - offset)));
    if (to < offset + data.size()) INGOT_TRY(write_edge(to, data.bytes().subspan(to - offset)));
    Slice middle = data.sub(from - offset, to - from);
    if (is_aligned(reinterpret_cast<std::uintptr_t>(middle.bytes().data()), align))
      return submit(from, std::move(middle));
    for (std::uint64_t done = 0; done < middle.size();) {
      INGOT_TRY_ASSIGN(const BufferRef copy, bounce.acquire(job.token()));
      const auto part = std::min<std::uint64_t>(copy.bytes().size(), middle.size() - done);
      std::memcpy(copy.bytes().data(), middle.bytes().data() + done, part);
      INGOT_TRY(submit(from + done, Slice(copy, copy.bytes().first(part))));
      done += part;
    }
    return {};
  }

  Result<void> submit(std::uint64_t offset, Slice data) {
    auto sent = engine->submit(offset, std::move(data));
    if (!sent) return tl::unexpected(job.or_else(sent.error()));
    return sent;
  }

  // Less than a block, inside one block or several: read, change, write. On a regular file the page
  // cache does that.
  Result<void> write_edge(std::uint64_t offset, std::span<const std::byte> data) {
    counters.bytes_written += data.size();
    return edge(offset, data.size(), data.data());
  }

  Result<void> edge(std::uint64_t offset, std::uint64_t length, const std::byte* data) {
    if (!target.block_device)
      return data != nullptr ? write_all(target, offset, {data, length})
                             : write_zeros(target, offset, length);
    const std::lock_guard lock(edge_mutex);  // two edges may share a block
    alignas(kBufferAlignment) std::byte block[kBufferAlignment];
    const std::uint64_t size = target.io_alignment;
    while (length > 0) {
      const std::uint64_t start = align_down(offset, size);
      const std::uint64_t part = std::min(length, start + size - offset);
      const ssize_t n = ::pread(target.fd.get(), block, size, static_cast<off_t>(start));
      if (n != static_cast<ssize_t>(size))
        return tl::unexpected(
            system_error(Errc::write_io, fmt::format("reading {} at byte {}", target.path, start),
                         n < 0 ? errno : EIO,
                         "the disk failed or went away; check its health (dmesg, smartctl)"));
      if (data != nullptr) {
        std::memcpy(block + (offset - start), data, part);
        data += part;
      } else {
        std::memset(block + (offset - start), 0, part);
      }
      INGOT_TRY(write_all(target, start, std::span<const std::byte>(block, size)));
      offset += part;
      length -= part;
    }
    return {};
  }

  Result<void> zero_open(std::uint64_t from, std::uint64_t to) {
    // A file system zeroes any range; a block device, whole sectors.
    const std::uint64_t align = target.block_device ? target.logical_sector : 1;
    const std::uint64_t inner_from = align_up(from, align);
    const std::uint64_t inner_to = align_down(to, align);
    const auto zero_edge = [this](std::uint64_t a, std::uint64_t b) -> Result<void> {
      counters.bytes_zeroed += b - a;
      return edge(a, b - a, nullptr);
    };
    if (inner_from >= inner_to) return zero_edge(from, to);
    if (from < inner_from) INGOT_TRY(zero_edge(from, inner_from));
    if (inner_to < to) INGOT_TRY(zero_edge(inner_to, to));
    auto added = zeroes->add(inner_from, inner_to - inner_from);
    if (!added) return tl::unexpected(job.or_else(added.error()));
    return {};
  }

  Result<void> settle() {
    engine->drain();
    zeroes->drain();
    if (auto error = job.get()) return tl::unexpected(*error);
    if (job.token().stop_requested()) return fail(Errc::cancelled, "writing: cancelled");
    return {};
  }

  [[nodiscard]] std::uint64_t image_end() const { return virtual_size.value_or(highest); }

  // The sector in which the image ends holds nothing of what was there before.
  Result<void> pad_last_sector() {
    const std::uint64_t end = image_end();
    const std::uint64_t whole = align_up(end, target.logical_sector);
    if (!target.block_device || end < head.end || end >= tail.begin || end == whole) return {};
    return edge(end, whole - end, nullptr);
  }

  // A few requests in flight, with the buffers that nothing else needs any more.
  Result<ReadOptions> reading() {
    ReadOptions how;
    how.stop = job.token();
    how.stall_limit = options.stall_limit;
    how.hung = &stalled;
    INGOT_TRY_ASSIGN(BufferRef first, pool.acquire(job.token()));
    how.buffers.push_back(std::move(first));
    while (how.buffers.size() < kReadsInFlight) {
      BufferRef more = pool.try_acquire();
      if (!more) break;
      how.buffers.push_back(std::move(more));
    }
    return how;
  }

  Result<void> verify_open() {
    std::uint64_t end = image_end();
    if (target.block_device) end = align_up(end, target.logical_sector);
    INGOT_TRY_ASSIGN(const ReadOptions how, reading());
    return readback->verify(head.end, std::min(end, tail.begin), how, counters.bytes_verified);
  }

  Result<void> commit_one(const Withheld& region) {
    INGOT_TRY(write_all(target, region.begin, region.all()));
    INGOT_TRY(flush(target));
    if (!readback) return {};
    INGOT_TRY_ASSIGN(const ReadOptions how, reading());
    return readback->compare(region.begin, region.all(), how, counters.bytes_verified);
  }

  Result<void> wipe_withheld() {
    INGOT_TRY(write_zeros(target, head.begin, head.end - head.begin));
    INGOT_TRY(write_zeros(target, tail.begin, tail.end - tail.begin));
    return flush(target);
  }

  const Claim& target;
  const WriterOptions options;
  ProgressCounters& counters;
  FirstError& job;
  BufferPool pool;
  BufferPool bounce{kBufferBytes, 2};
  std::optional<std::uint64_t> virtual_size;
  bool begun = false;
  ReadAhead ahead;
  bool complete = false;  // all of the image has come
  HeadGate gate{
      {[this] { return open_target(); },
       [this](std::uint64_t from, Slice data) { return write_now(from, std::move(data)); },
       [this](std::uint64_t from, std::uint64_t to) { return zero_now(from, to); }},
      job.token()};
  ImageEnding ending;
  std::atomic<bool> touched{false};
  std::atomic<bool> finished{false};
  bool committing = false;
  bool committed = false;
  std::atomic<std::uint64_t> highest{0};  // where the extents so far end
  std::atomic<bool> stalled{false};
  Withheld head;
  Withheld tail;
  std::mutex edge_mutex;
  std::unique_ptr<IoEngine> engine;
  std::optional<ZeroQueue> zeroes;
  std::optional<Readback> readback;
  std::jthread watch;  // ends before what it watches
};

DeviceWriter::DeviceWriter(const Claim& target, const WriterOptions& options,
                           ProgressCounters& counters, FirstError& job)
    : impl_(std::make_unique<Impl>(target, options, counters, job)) {}

DeviceWriter::~DeviceWriter() {
  // Nobody is left to tell of a failure here; whoever can be told has called abandon().
  if (impl_->touched && !impl_->committed) static_cast<void>(abandon());
}

Result<void> DeviceWriter::begin(std::optional<std::uint64_t> virtual_size) {
  if (impl_->begun) return fail(Errc::internal_bug, "begin() called twice");
  return impl_->prepare(virtual_size);
}

Result<BufferRef> DeviceWriter::buffer() {
  auto buffer = impl_->pool.acquire(impl_->job.token());
  if (!buffer) return tl::unexpected(impl_->job.or_else(buffer.error()));
  return buffer;
}

Result<void> DeviceWriter::write(std::uint64_t guest_offset, Slice data) {
  INGOT_TRY(impl_->check(guest_offset, data.size()));
  return impl_->split(
      guest_offset, data.size(),
      [&](Withheld& region, std::uint64_t from, std::uint64_t to) {
        return impl_->keep(region, from, to, data.bytes().data() + (from - guest_offset));
      },
      [&](std::uint64_t from, std::uint64_t to) -> Result<void> {
        Slice open = data.sub(from - guest_offset, to - from);
        INGOT_TRY_ASSIGN(const bool now, impl_->pass(from, to, open.bytes().data()));
        if (!now) return {};
        if (!impl_->options.dry_run) return impl_->write_now(from, std::move(open));
        impl_->counters.bytes_written += to - from;
        impl_->ending.note(from, to - from, open.bytes().data());
        return {};
      });
}

Result<void> DeviceWriter::zero(std::uint64_t guest_offset, std::uint64_t length) {
  INGOT_TRY(impl_->check(guest_offset, length));
  return impl_->split(
      guest_offset, length,
      [&](Withheld& region, std::uint64_t from, std::uint64_t to) {
        return impl_->keep(region, from, to, nullptr);
      },
      [&](std::uint64_t from, std::uint64_t to) -> Result<void> {
        INGOT_TRY_ASSIGN(const bool now, impl_->pass(from, to, nullptr));
        if (!now) return {};
        if (!impl_->options.dry_run) return impl_->zero_now(from, to);
        impl_->counters.bytes_zeroed += to - from;
        impl_->ending.note(from, to - from, nullptr);
        return {};
      });
}

void DeviceWriter::look_ahead(ReadAhead read) {
  impl_->ahead = std::move(read);
}

Result<void> DeviceWriter::touch() {
  return impl_->options.dry_run ? Result<void>{} : impl_->gate.open_now();
}

ImageView DeviceWriter::image() const {
  return impl_->image();
}

Result<void> DeviceWriter::finish() {
  if (!impl_->begun) return fail(Errc::internal_bug, "finish() before begin()");
  impl_->complete = true;
  INGOT_TRY(impl_->gate.open_now());
  if (impl_->options.dry_run) return {};
  INGOT_TRY(impl_->settle());
  INGOT_TRY(impl_->pad_last_sector());
  INGOT_TRY(flush(impl_->target));
  impl_->finished = true;
  return {};
}

Result<void> DeviceWriter::verify() {
  if (impl_->options.dry_run || !impl_->options.verify_readback) return {};
  if (!impl_->finished || impl_->committing)
    return fail(Errc::internal_bug, "verify() out of order");
  return impl_->verify_open();
}

Result<WithheldEnds> DeviceWriter::touch_up() {
  Impl& impl = *impl_;
  if (!impl.begun || (!impl.finished && !impl.options.dry_run) || impl.committing)
    return fail(Errc::internal_bug, "touching up out of order");
  if (impl.readback && !impl.readback->complete())
    return fail(Errc::internal_bug, "touching up what was not verified");
  impl.finished = false;
  impl.virtual_size = impl.target.size;
  return WithheldEnds{{impl.head.bytes.get(), impl.head.end - impl.head.begin},
                      {impl.tail.bytes.get(), impl.tail.end - impl.tail.begin},
                      impl.tail.begin};
}

Result<void> DeviceWriter::commit() {
  if (impl_->options.dry_run) return {};
  if (!impl_->finished || impl_->committing)
    return fail(Errc::internal_bug, "commit() out of order");
  if (impl_->readback && !impl_->readback->complete())
    return fail(Errc::internal_bug, "commit() of what was not verified");
  impl_->committing = true;
  auto done = impl_->commit_one(impl_->tail);
  // One request: it is on the disk, or the zeros of begin() are.
  if (done) done = impl_->commit_one(impl_->head);
  if (!done) {
    // What the disk does not give back must not boot either. Its first failure is what is told.
    if (impl_->readback) static_cast<void>(impl_->wipe_withheld());
    return done;
  }
  impl_->committed = true;
  return {};
}

Result<void> DeviceWriter::abandon() {
  if (!impl_->touched || impl_->committed) return {};
  impl_->finished = false;
  // Still watched, so that a device that hangs is not waited for.
  if (impl_->engine) impl_->engine->drain();
  if (impl_->zeroes) impl_->zeroes->cancel();
  // A device that hangs still has begin()'s zeros there, and would not take any now.
  if (impl_->stalled && !impl_->committing) return {};
  return impl_->wipe_withheld();
}

bool DeviceWriter::touched() const noexcept {
  return impl_->touched;
}

}  // namespace ingot::disk
