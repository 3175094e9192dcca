/// Scratch room in memory, with a size; and a provider that gives it, or refuses.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "disk/core/scratch.hpp"

namespace ingot::test {

class MemoryScratch final : public Scratch, public ScratchProvider {
 public:
  /// `capacity` bytes; 0: open() refuses, as a disk without room does.
  explicit MemoryScratch(std::uint64_t capacity = 0) : capacity_(capacity) {}

  Result<Scratch*> open(std::uint64_t keep, std::uint64_t needed) override {
    keep_ = keep;
    if (capacity_ == 0 || needed > capacity_)
      return fail(Errc::image_not_streamable, "the test's target has no room");
    ++opened_;
    return this;
  }
  [[nodiscard]] std::uint64_t capacity() const override { return capacity_; }
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (offset + data.size() > capacity_)
      return fail(Errc::write_scratch, "past the end of the scratch");
    if (bytes_.size() < offset + data.size()) bytes_.resize(offset + data.size());
    std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Result<void> read(std::uint64_t offset, std::span<std::byte> data) override {
    if (offset + data.size() > bytes_.size())
      return fail(Errc::write_scratch, "read of what was not written");
    std::memcpy(data.data(), bytes_.data() + offset, data.size());
    return {};
  }
  Result<Window> window() override { return fail(Errc::write_scratch, "memory has no descriptor"); }
  [[nodiscard]] std::string describe() const override { return "the test's memory"; }

  [[nodiscard]] int opened() const noexcept { return opened_; }
  [[nodiscard]] std::uint64_t used() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::uint64_t keep() const noexcept { return keep_; }

 private:
  const std::uint64_t capacity_;
  std::vector<std::byte> bytes_;
  std::uint64_t keep_ = 0;
  int opened_ = 0;
};

}  // namespace ingot::test
