/// An ExtentSink that remembers what it was given and holds its callers to the contract.
#pragma once

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "disk/core/extent_sink.hpp"
#include "disk/core/units.hpp"

namespace ingot::test {

/// Collects the decoded disk in memory. Only data takes memory, so a disk of 1 TiB of zeros is fine
/// as long as image() is not asked for.
///
/// Every guest byte may come once; a second write or zero of it, a call before begin(), a second
/// begin() or an empty extent is answered with internal.bug and kept in violations().
/// Thread-safe, like any sink.
class RecordingSink final : public ExtentSink {
 public:
  /// `target_size` (bytes): where image.too-large begins; nothing: no end.
  explicit RecordingSink(std::optional<std::uint64_t> target_size = {}, std::size_t buffers = 16,
                         std::stop_token stop = {})
      : target_size_(target_size), pool_(1024 * 1024, buffers), stop_(std::move(stop)) {}

  Result<void> begin(std::optional<std::uint64_t> virtual_size) override {
    const std::lock_guard lock(mutex_);
    if (begun_) return violation("begin() called twice");
    begun_ = true;
    virtual_size_ = virtual_size;
    if (virtual_size && target_size_ && *virtual_size > *target_size_)
      return fail(Errc::device_too_small, "the test's target is too small");
    return {};
  }
  Result<BufferRef> buffer() override { return pool_.acquire(stop_); }
  Result<void> write(std::uint64_t guest_offset, Slice data) override {
    const std::lock_guard lock(mutex_);
    INGOT_TRY(cover(guest_offset, data.size()));
    data_[guest_offset].assign(data.bytes().begin(), data.bytes().end());
    ++writes_;
    bytes_written_ += data.size();
    return {};
  }
  Result<void> zero(std::uint64_t guest_offset, std::uint64_t length) override {
    const std::lock_guard lock(mutex_);
    INGOT_TRY(cover(guest_offset, length));
    ++zeros_;
    bytes_zeroed_ += length;
    return {};
  }

  /// The decoded disk: as long as begin() said, or as what was covered. Uncovered bytes are 0xEE,
  /// so that a decoder cannot pass by forgetting its zeros.
  [[nodiscard]] std::vector<std::byte> image() const {
    const std::uint64_t covered = locked(covered_.empty() ? 0 : covered_.rbegin()->second);
    return image(std::max(covered, virtual_size().value_or(0)));
  }
  /// Its first `length` bytes.
  [[nodiscard]] std::vector<std::byte> image(std::uint64_t length) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::byte> out(length, std::byte{0xEE});
    const auto at = [&](std::uint64_t offset) {
      return out.begin() + static_cast<std::ptrdiff_t>(std::min(offset, length));
    };
    for (const auto& [from, to] : covered_) std::fill(at(from), at(to), std::byte{0});
    for (const auto& [offset, bytes] : data_)
      if (offset < length)
        std::copy_n(bytes.begin(), std::min<std::uint64_t>(bytes.size(), length - offset),
                    at(offset));
    return out;
  }
  /// Where the last written (not zeroed) byte ends.
  [[nodiscard]] std::uint64_t data_end() const {
    const std::lock_guard lock(mutex_);
    return data_.empty() ? 0 : data_.rbegin()->first + data_.rbegin()->second.size();
  }
  /// Covered guest ranges [from, to), neighbours merged, in order.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> covered() const {
    const std::lock_guard lock(mutex_);
    return {covered_.begin(), covered_.end()};
  }
  /// Whether exactly [0, size) was covered.
  [[nodiscard]] bool complete(std::uint64_t size) const {
    const std::lock_guard lock(mutex_);
    return size == 0 ? covered_.empty()
                     : covered_.size() == 1 && covered_.begin()->first == 0 &&
                           covered_.begin()->second == size;
  }
  [[nodiscard]] bool begun() const { return locked(begun_); }
  [[nodiscard]] std::optional<std::uint64_t> virtual_size() const { return locked(virtual_size_); }
  [[nodiscard]] std::vector<std::string> violations() const { return locked(violations_); }
  [[nodiscard]] std::uint64_t writes() const { return locked(writes_); }
  [[nodiscard]] std::uint64_t zeros() const { return locked(zeros_); }
  [[nodiscard]] std::uint64_t bytes_written() const { return locked(bytes_written_); }
  [[nodiscard]] std::uint64_t bytes_zeroed() const { return locked(bytes_zeroed_); }

 private:
  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }
  tl::unexpected<Error> violation(const std::string& what) {
    violations_.push_back(what);
    return fail(Errc::internal_bug, what);
  }
  /// Marks [from, from + length) as covered, merging it with its neighbours.
  Result<void> cover(std::uint64_t from, std::uint64_t length) {
    if (!begun_) return violation("an extent before begin()");
    if (length == 0) return violation("an empty extent at " + std::to_string(from));
    const auto end = checked_add(from, length);
    if (!end) return violation("an extent that passes 2^64");
    if (target_size_ && *end > *target_size_)
      return fail(Errc::image_too_large, "the image does not fit the test's target");
    std::uint64_t to = *end;
    auto after = covered_.upper_bound(from);
    if (after != covered_.end() && after->first < to)
      return violation("covered twice: " + std::to_string(after->first));
    if (after != covered_.begin()) {
      const auto before = std::prev(after);
      if (before->second > from) return violation("covered twice: " + std::to_string(from));
      if (before->second == from) {
        from = before->first;
        covered_.erase(before);
      }
    }
    if (after != covered_.end() && after->first == to) {
      to = after->second;
      covered_.erase(after);
    }
    covered_.emplace(from, to);
    return {};
  }

  const std::optional<std::uint64_t> target_size_;
  BufferPool pool_;
  const std::stop_token stop_;
  mutable std::mutex mutex_;
  bool begun_ = false;
  std::optional<std::uint64_t> virtual_size_;
  std::map<std::uint64_t, std::uint64_t> covered_;
  std::map<std::uint64_t, std::vector<std::byte>> data_;
  std::vector<std::string> violations_;
  std::uint64_t writes_ = 0, zeros_ = 0, bytes_written_ = 0, bytes_zeroed_ = 0;
};

}  // namespace ingot::test
