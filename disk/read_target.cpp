#include "disk/read_target.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kChunk = 64 * KiB;
struct alignas(kBufferAlignment) Chunk {
  std::byte bytes[kChunk];
};

}  // namespace

Result<void> read_target(const Claim& target, std::uint64_t offset, std::span<std::byte> bytes) {
  const auto chunk = std::make_unique<Chunk>();
  const std::uint64_t align = std::max<std::uint64_t>(target.io_alignment, 1);
  while (!bytes.empty()) {
    const std::uint64_t from = align_down(offset, align);
    const std::uint64_t want =
        std::min<std::uint64_t>(kChunk, align_up(offset + bytes.size() - from, align));
    const ssize_t n = ::pread(target.fd.get(), chunk->bytes, want, static_cast<off_t>(from));
    if (n < 0 && errno == EINTR) continue;
    const std::uint64_t skip = offset - from;
    if (n < 0 || static_cast<std::uint64_t>(n) <= skip)
      return tl::unexpected(system_error(
          Errc::write_io, fmt::format("reading {} at byte {}", target.path, offset),
          n < 0 ? errno : EIO, "the disk failed or went away; check its health (dmesg, smartctl)"));
    const std::size_t part =
        std::min<std::size_t>(static_cast<std::size_t>(n) - skip, bytes.size());
    std::memcpy(bytes.data(), chunk->bytes + skip, part);
    offset += part;
    bytes = bytes.subspan(part);
  }
  return {};
}

}  // namespace ingot::disk
