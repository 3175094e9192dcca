#include "disk/table/shadow_disk.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

Result<void> check(std::uint64_t size, std::uint64_t offset, std::size_t length) {
  const auto end = checked_add(offset, std::uint64_t{length});
  if (end && *end <= size) return {};
  return fail(Errc::internal_bug, fmt::format("byte {} of a table's copy, past its end", offset));
}

Error failed(int error) {
  return system_error(Errc::internal_bug, "keeping a partition table in memory", error,
                      "free some memory");
}

}  // namespace

Result<ShadowDisk> ShadowDisk::make(std::uint64_t size) {
  UniqueFd fd(::memfd_create("partition-table", MFD_CLOEXEC));
  if (!fd || size > INT64_MAX || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return tl::unexpected(failed(errno));
  return ShadowDisk(std::move(fd), size);
}

Result<void> ShadowDisk::put(std::uint64_t offset, std::span<const std::byte> bytes) {
  INGOT_TRY(check(size_, offset, bytes.size()));
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return tl::unexpected(failed(n < 0 ? errno : ENOSPC));
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> ShadowDisk::get(std::uint64_t offset, std::span<std::byte> bytes) const {
  INGOT_TRY(check(size_, offset, bytes.size()));
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return tl::unexpected(failed(n < 0 ? errno : EIO));
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace ingot::disk
