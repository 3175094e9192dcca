#include "disk/readback.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "disk/core/units.hpp"
#include "disk/crc64.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kLeastBlock = 1 * MiB;
constexpr std::uint64_t kMostBlocks = 512 * KiB;  // of 8 bytes
constexpr std::size_t kMostParts = 24 * KiB;      // of some 64 bytes

std::uint64_t block_for(std::uint64_t size) {
  std::uint64_t block = kLeastBlock;
  while (size / block >= kMostBlocks) block *= 2;
  return block;
}

Error differs(const std::string& path, std::uint64_t from, std::uint64_t to) {
  return Error(Errc::write_readback,
               fmt::format("reading back {}: bytes {} to {} are not what was written there", path,
                           from, to - 1),
               "the disk, its cabling or its controller loses or alters data without saying so; "
               "check its health (dmesg, smartctl) or replace it");
}

}  // namespace

BlockSums::BlockSums(std::uint64_t size)
    : block_bytes_(block_for(size)), sums_(size / block_bytes_ + 1) {}

void BlockSums::add(std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const std::uint64_t block = offset / block_bytes_;
    const std::uint64_t end = (block + 1) * block_bytes_;
    const auto part = data.first(std::min<std::uint64_t>(data.size(), end - offset));
    offset += part.size();
    data = data.subspan(part.size());
    if (const std::uint64_t sum = crc64_followed_by(crc64(part), end - offset); sum != 0)
      sums_[block].fetch_xor(sum, std::memory_order_relaxed);
  }
}

bool BlockSums::even(std::uint64_t offset) const {
  return sums_[offset / block_bytes_].load(std::memory_order_relaxed) == 0;
}

Readback::Readback(const Claim& target) : target_(target), image_(target.size) {}

Result<void> Readback::wrote(std::uint64_t offset, std::span<const std::byte> data) {
  if (image_verified_) return add_part(offset, {data.size(), crc64(data)});
  image_.add(offset, data);
  return {};
}

Result<void> Readback::zeroed(std::uint64_t offset, std::uint64_t length) {
  return image_verified_ ? add_part(offset, {length, 0}) : Result<void>{};
}

Result<void> Readback::add_part(std::uint64_t offset, Part part) {
  if (part.length == 0) return {};
  const std::lock_guard lock(mutex_);
  auto next = parts_.lower_bound(offset);
  const bool beside = next != parts_.begin();
  if ((next != parts_.end() && next->first < offset + part.length) ||
      (beside && std::prev(next)->first + std::prev(next)->second.length > offset))
    return fail(Errc::internal_bug, fmt::format("byte {} of {} was written twice and not verified "
                                                "between",
                                                offset, target_.path));
  // Parts that follow each other become one.
  if (next != parts_.end() && next->first == offset + part.length) {
    part = {part.length + next->second.length,
            crc64_followed_by(part.crc, next->second.length) ^ next->second.crc};
    next = parts_.erase(next);
  }
  if (beside && std::prev(next)->first + std::prev(next)->second.length == offset) {
    Part& before = std::prev(next)->second;
    before = {before.length + part.length, crc64_followed_by(before.crc, part.length) ^ part.crc};
    return {};
  }
  if (parts_.size() >= kMostParts)
    return fail(Errc::internal_bug,
                "too many pieces were written since " + target_.path + " was last verified");
  parts_.emplace_hint(next, offset, part);
  return {};
}

Result<void> Readback::verify(std::uint64_t from, std::uint64_t to, const ReadOptions& options,
                              std::atomic<std::uint64_t>& verified) {
  if (!image_verified_) {
    INGOT_TRY(verify_blocks(from, to, options, verified));
    image_verified_ = true;
    return {};
  }
  for (const auto& [offset, part] : parts_) INGOT_TRY(verify_part(offset, part, options, verified));
  parts_.clear();
  return {};
}

Result<void> Readback::verify_blocks(std::uint64_t from, std::uint64_t to,
                                     const ReadOptions& options,
                                     std::atomic<std::uint64_t>& verified) {
  const std::uint64_t size = image_.block_bytes();
  std::mutex mutex;
  // Blocks of which something is still missing: first byte → bytes. Those that are read now.
  std::map<std::uint64_t, std::uint64_t> missing;
  const auto take = [&](std::uint64_t offset, std::uint64_t length,
                        std::span<const std::byte> data) -> Result<void> {
    image_.add(offset, data);
    verified += length;
    const std::uint64_t end = offset + length;
    for (std::uint64_t block = offset / size * size; block < end; block += size) {
      const std::uint64_t first = std::max(block, from), last = std::min(block + size, to);
      const std::uint64_t part = std::min(end, last) - std::max(offset, first);
      if (part < last - first) {
        const std::lock_guard lock(mutex);
        const auto entry = missing.try_emplace(block, last - first).first;
        entry->second -= part;
        if (entry->second > 0) continue;
        missing.erase(entry);
      }
      if (!image_.even(block)) return tl::unexpected(differs(target_.path, first, last));
    }
    return {};
  };
  return scan_target(target_, from, to, options, take);
}

Result<void> Readback::verify_part(std::uint64_t offset, Part part, const ReadOptions& options,
                                   std::atomic<std::uint64_t>& verified) const {
  const std::uint64_t end = offset + part.length;
  std::atomic<std::uint64_t> crc = part.crc;
  const auto take = [&](std::uint64_t at, std::uint64_t length, std::span<const std::byte> data) {
    crc ^= crc64_followed_by(crc64(data), end - at - length);
    verified += length;
    return Result<void>{};
  };
  INGOT_TRY(scan_target(target_, offset, end, options, take));
  if (crc == 0) return {};
  return tl::unexpected(differs(target_.path, offset, end));
}

Result<void> Readback::compare(std::uint64_t offset, std::span<const std::byte> expected,
                               const ReadOptions& options,
                               std::atomic<std::uint64_t>& verified) const {
  std::mutex mutex;
  std::uint64_t first = UINT64_MAX, last = 0;  // bytes that differ
  const auto take = [&](std::uint64_t at, std::uint64_t length, std::span<const std::byte> data) {
    verified += length;
    for (std::uint64_t i = 0; i < length; ++i) {
      if ((data.empty() ? std::byte{0} : data[i]) == expected[at - offset + i]) continue;
      const std::lock_guard lock(mutex);
      first = std::min(first, at + i);
      last = std::max(last, at + i);
    }
    return Result<void>{};
  };
  INGOT_TRY(scan_target(target_, offset, offset + expected.size(), options, take));
  if (first == UINT64_MAX) return {};
  return tl::unexpected(differs(target_.path, first, last + 1));
}

bool Readback::complete() const {
  const std::lock_guard lock(mutex_);
  return image_verified_ && parts_.empty();
}

}  // namespace ingot::disk
