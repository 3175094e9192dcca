#include "disk/difference_map.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace ingot::disk {
namespace {

constexpr std::size_t kMostStretches = 16 * 1024;

bool same(std::span<const std::byte> found, std::span<const std::byte> wanted) {
  if (!wanted.empty()) return std::memcmp(found.data(), wanted.data(), found.size()) == 0;
  // The first byte is zero, and each equals the one before it.
  return found.empty() || (found[0] == std::byte{0} &&
                           std::memcmp(found.data(), found.data() + 1, found.size() - 1) == 0);
}

}  // namespace

void DifferenceMap::ignore(std::uint64_t from, std::uint64_t to) {
  const std::lock_guard lock(mutex_);
  ignored_.push_back({from, to});
}

void DifferenceMap::compare(std::uint64_t offset, std::span<const std::byte> found,
                            std::span<const std::byte> wanted) {
  if (same(found, wanted)) return;
  while (!found.empty()) {
    const std::uint64_t length =
        std::min<std::uint64_t>(found.size(), kDifferenceSector - offset % kDifferenceSector);
    const auto part = found.first(length);
    const auto should = wanted.empty() ? wanted : wanted.first(length);
    if (!same(part, should)) {
      std::uint64_t first = length, bytes = 0;
      for (std::uint64_t i = 0; i < length; ++i) {
        if (part[i] == (should.empty() ? std::byte{0} : should[i])) continue;
        first = std::min(first, i);
        ++bytes;
      }
      add(offset, length, offset + first, bytes);
    }
    offset += length;
    found = found.subspan(length);
    if (!wanted.empty()) wanted = wanted.subspan(length);
  }
}

void DifferenceMap::add(std::uint64_t offset, std::uint64_t length, std::uint64_t first,
                        std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  for (Ignored& range : ignored_)
    if (offset >= range.begin && offset < range.end) {
      range.differs = true;
      return;
    }
  add_locked(offset, {offset + length, first, bytes});
}

void DifferenceMap::add_locked(std::uint64_t begin, Stretch stretch) {
  auto next = stretches_.lower_bound(begin);
  if (next != stretches_.begin() && std::prev(next)->second.end >= begin) {
    Stretch& before = std::prev(next)->second;
    before.end = std::max(before.end, stretch.end);
    before.bytes += stretch.bytes;
    before.first = std::min(before.first, stretch.first);
    stretch = before;
    begin = std::prev(next)->first;
    next = stretches_.erase(std::prev(next));
  }
  if (next != stretches_.end() && next->first <= stretch.end) {
    stretch.end = std::max(stretch.end, next->second.end);
    stretch.bytes += next->second.bytes;
    stretch.first = std::min(stretch.first, next->second.first);
    next = stretches_.erase(next);
  }
  stretches_.emplace_hint(next, begin, stretch);
  if (stretches_.size() <= kMostStretches) return;
  const auto last = std::prev(stretches_.end());
  dropped_bytes_ += last->second.bytes;
  dropped_first_ = std::min(dropped_first_, last->second.first);
  stretches_.erase(last);
}

bool DifferenceMap::forgive(std::uint64_t from, std::uint64_t to) {
  const std::lock_guard lock(mutex_);
  bool any = std::ranges::any_of(ignored_, [&](const Ignored& range) {
    return range.differs && range.begin < to && from < range.end;
  });
  auto next = stretches_.lower_bound(from);
  if (next != stretches_.begin() && std::prev(next)->second.end > from) --next;
  while (next != stretches_.end() && next->first < to) {
    const auto [begin, stretch] = *next;
    next = stretches_.erase(next);
    any = true;
    // What is left of it on either side. Every sector in it differs in a byte at least.
    const auto keep = [&](std::uint64_t a, std::uint64_t b) {
      exact_ = false;
      stretches_.emplace_hint(next, a,
                              Stretch{b, std::max(a, stretch.first < b ? stretch.first : a),
                                      std::max<std::uint64_t>(1, (b - a) / kDifferenceSector)});
    };
    if (begin < from) keep(begin, from);
    if (stretch.end > to) keep(to, stretch.end);
  }
  return any;
}

std::optional<DifferenceMap::Summary> DifferenceMap::summary() const {
  const std::lock_guard lock(mutex_);
  if (stretches_.empty() && dropped_bytes_ == 0) return std::nullopt;
  Summary sum{dropped_first_, 0, exact_ && dropped_bytes_ == 0};
  for (const auto& [begin, stretch] : stretches_) {
    sum.first = std::min(sum.first, stretch.first);
    sum.bytes += stretch.bytes;
  }
  // Those that were dropped may have been forgiven; they lie behind all others.
  if (sum.bytes == 0) sum.bytes = 1;
  return sum;
}

}  // namespace ingot::disk
