#include "disk/erase/wipe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"
#include "disk/read_target.hpp"
#include "disk/zeroing.hpp"

namespace ingot::disk {
namespace {

// A signature may hide another one; more layers than these no disk has.
constexpr int kMostLooks = 16;

// Part of one sector of a block device: read, change, write.
Result<void> wipe_inside(const Claim& target, std::uint64_t offset, std::uint64_t length) {
  alignas(kBufferAlignment) std::byte sector[kBufferAlignment];
  const std::uint64_t size = target.io_alignment;
  const std::uint64_t start = align_down(offset, size);
  INGOT_TRY(read_target(target, start, {sector, size}));
  std::memset(sector + (offset - start), 0, length);
  return write_all(target, start, std::span<const std::byte>(sector, size));
}

Result<void> flush_watched(const Claim& target, Watch& watch) {
  const auto request = watch.request(0);
  return flush(target);
}

Result<void> wipe_signatures(const Claim& target, const Survey& found, std::size_t region,
                             Watch& watch) {
  for (const auto& signature : found.signatures)
    if (signature.region == region)
      INGOT_TRY(wipe(target, signature.wipe_offset, signature.wipe_length, watch));
  return {};
}

Result<void> wipe_region_ends(const Claim& target, const Region& region, Watch& watch) {
  const std::uint64_t end = std::min(region.length, kWipedEnd);
  // The far end first: where a table has a copy there, the one that is used goes last.
  if (region.length > kWipedEnd) {
    const std::uint64_t from = std::max(region.length - kWipedEnd, kWipedEnd);
    INGOT_TRY(wipe(target, region.offset + from, region.length - from, watch));
  }
  return wipe(target, region.offset, end, watch);
}

// Deepest first; the target itself is the last one.
std::vector<std::size_t> inside_out(const std::vector<Region>& regions) {
  std::vector<std::size_t> order(regions.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return regions[a].depth > regions[b].depth; });
  return order;
}

}  // namespace

Result<void> wipe(const Claim& target, std::uint64_t offset, std::uint64_t length, Watch& watch) {
  const auto request = watch.request(offset);
  if (!target.block_device) {
    // A file gets holes, so that erasing an image does not fill it up.
    return Zeroing(target).run(offset, length, {});
  }
  const std::uint64_t size = target.io_alignment;
  const std::uint64_t end = offset + length;
  const std::uint64_t from = align_up(offset, size), to = align_down(end, size);
  if (from > to) return wipe_inside(target, offset, length);
  if (offset < from) INGOT_TRY(wipe_inside(target, offset, from - offset));
  if (to < end) INGOT_TRY(wipe_inside(target, to, end - to));
  return write_zeros(target, from, to - from);
}

Result<void> wipe_ends(const Claim& target, Watch& watch) {
  watch.state(EraseState::unknown);
  INGOT_TRY(wipe_region_ends(target, {0, target.size, "", "", 0, false}, watch));
  INGOT_TRY(flush_watched(target, watch));
  watch.state(EraseState::unbootable);
  return {};
}

Result<void> wipe_metadata(const Claim& target, const Survey& found, Watch& watch) {
  if (watch.state() == EraseState::untouched) watch.state(EraseState::unknown);
  for (const std::size_t number : inside_out(found.regions)) {
    INGOT_TRY(watch.not_stopped(target.path));
    INGOT_TRY(wipe_signatures(target, found, number, watch));
    INGOT_TRY(wipe_region_ends(target, found.regions[number], watch));
  }
  INGOT_TRY(flush_watched(target, watch));
  watch.state(EraseState::unbootable);
  for (int look = 0; look < kMostLooks; ++look) {
    INGOT_TRY_ASSIGN(const Survey left, survey_again(target, found.regions, watch));
    if (left.signatures.empty()) {
      if (left.problems.empty()) return {};
      return fail(Errc::write_erase,
                  fmt::format("{}: whether its signatures are gone cannot be told: {}", target.path,
                              left.problems.front()),
                  "check the disk's health (dmesg, smartctl); --method zero writes all of it");
    }
    if (look + 1 == kMostLooks) {
      const auto& first = left.signatures.front();
      return fail(
          Errc::write_erase,
          fmt::format("{}: {} at byte {} does not go away: {} still shows there after zeros "
                      "were written",
                      target.path, left.regions[first.region].name, first.offset, first.type),
          "the disk does not take what is written; replace it");
    }
    for (std::size_t number = 0; number < left.regions.size(); ++number)
      INGOT_TRY(wipe_signatures(target, left, number, watch));
    INGOT_TRY(flush_watched(target, watch));
  }
  return {};
}

}  // namespace ingot::disk
