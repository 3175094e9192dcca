#include "disk/zeroing.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {
namespace {

// Large steps are cheap where the device zeroes by itself; where zeros travel to it, the slowest
// card still has to take one within seconds.
constexpr std::uint64_t kOffloadedStep = 64 * MiB;
constexpr std::uint64_t kTransferredStep = 16 * MiB;

// Not const, so that it takes no room in the binary. Never written.
alignas(kBufferAlignment) std::byte zeros[1 * MiB];

bool not_supported(int error) {
  return error == EOPNOTSUPP || error == ENOTTY || error == ENOSYS || error == EINVAL;
}

}  // namespace

Result<void> write_all(const Claim& target, std::uint64_t offset, std::span<const std::byte> data) {
  const bool aligned =
      is_aligned(offset, target.io_alignment) && is_aligned(data.size(), target.io_alignment) &&
      is_aligned(reinterpret_cast<std::uintptr_t>(data.data()), target.io_alignment);
  const int fd = aligned ? target.fd.get() : target.buffered_fd.get();
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return tl::unexpected(write_error(target.path, offset, n == 0 ? EIO : errno));
    offset += static_cast<std::uint64_t>(n);
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> write_zeros(const Claim& target, std::uint64_t offset, std::uint64_t length) {
  while (length > 0) {
    const auto part = std::min<std::uint64_t>(length, sizeof zeros);
    INGOT_TRY(write_all(target, offset, std::span<const std::byte>(zeros).first(part)));
    offset += part;
    length -= part;
  }
  return {};
}

Result<void> flush(const Claim& target) {
  for (const int fd : {target.buffered_fd.get(), target.fd.get()})
    if (fd >= 0 && ::fdatasync(fd) != 0)
      return tl::unexpected(system_error(Errc::write_flush, "flushing " + target.path, errno,
                                         "the disk did not take what was written; check its health "
                                         "(dmesg, smartctl) or replace it"));
  return {};
}

Result<void> Zeroing::run(std::uint64_t offset, std::uint64_t length, std::stop_token stop) {
  while (length > 0) {
    if (stop.stop_requested())
      return fail(Errc::cancelled, fmt::format("zeroing {}: cancelled", target_.path));
    const std::uint64_t part = std::min(length, step_bytes());
    INGOT_TRY(step(offset, part));
    offset += part;
    length -= part;
  }
  return {};
}

std::uint64_t Zeroing::step_bytes() const noexcept {
  return way_ == Way::punch || way_ == Way::zero_range ? kOffloadedStep : kTransferredStep;
}

Result<void> Zeroing::step(std::uint64_t offset, std::uint64_t length) {
  const int fd = target_.fd.get();
  const auto from = static_cast<off_t>(offset);
  const auto size = static_cast<off_t>(length);
  for (Way way = way_;;) {
    int failed = 0;
    Way next = Way::write;
    switch (way) {
      case Way::ioctl: {
        std::uint64_t range[2] = {offset, length};
        failed = ::ioctl(fd, BLKZEROOUT, range);
        break;
      }
      case Way::punch:
        failed = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, size);
        next = target_.block_device ? Way::ioctl : Way::zero_range;
        break;
      case Way::zero_range:
        failed = ::fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, from, size);
        break;
      case Way::write: {
        auto written = write_zeros(target_, offset, length);
        if (!written)
          return fail(Errc::write_zero, written.error().message(), written.error().advice());
        return written;
      }
    }
    if (failed == 0) return {};
    if (errno == EINTR) continue;
    if (not_supported(errno)) way_ = next;
    way = next;
  }
}

}  // namespace ingot::disk
