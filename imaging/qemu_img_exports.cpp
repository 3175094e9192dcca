#include "imaging/qemu_img_exports.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "disk/core/units.hpp"

namespace ingot::imaging {
namespace {
constexpr std::uint64_t kBlock = MiB;
}  // namespace

Result<std::span<const std::byte>> ScratchExport::block(std::uint64_t offset) {
  auto found = std::ranges::find(cache_, offset, &CachedBlock::offset);
  if (found == cache_.end()) {
    found = std::ranges::min_element(cache_, {}, &CachedBlock::last_used);
    found->offset = UINT64_MAX;  // not valid while it is being filled
    found->bytes.resize(std::min(kBlock, size_ - offset));
    INGOT_TRY(scratch_.read(offset, found->bytes));
    found->offset = offset;
  }
  found->last_used = ++uses_;
  return found->bytes;
}

Result<void> ScratchExport::read(std::uint64_t offset, std::uint64_t length, const Send& send) {
  while (length != 0) {
    const auto start = align_down(offset, kBlock);
    INGOT_TRY_ASSIGN(const auto bytes, block(start));
    const auto part = bytes.subspan(
        offset - start, std::min<std::uint64_t>(length, bytes.size() - (offset - start)));
    INGOT_TRY(send(part));
    offset += part.size();
    length -= part.size();
  }
  return {};
}

Result<void> ScratchExport::write(std::uint64_t, std::uint64_t, const Receive&) {
  return fail(Errc::internal_bug, "the image file is read-only");
}
Result<void> ScratchExport::zero(std::uint64_t, std::uint64_t) {
  return fail(Errc::internal_bug, "the image file is read-only");
}

Result<void> SinkExport::read(std::uint64_t offset, std::uint64_t, const Send&) {
  return fail(Errc::image_convert,
              fmt::format("qemu-img wanted to read back byte {} of its output", offset));
}

Result<void> SinkExport::flush() {
  if (filled_ == 0) return {};
  Slice data(buffer_, buffer_.bytes().first(filled_));
  buffer_ = {};
  const auto at = covered_;
  covered_ += std::exchange(filled_, 0);
  return sink_.write(at, std::move(data));
}

// What lies between what is covered and `offset` becomes zeros.
Result<void> SinkExport::advance_to(std::uint64_t offset) {
  INGOT_TRY(flush());
  const auto from = std::exchange(covered_, offset);
  return offset > from ? sink_.zero(from, offset - from) : Result<void>{};
}

Result<void> SinkExport::write(std::uint64_t offset, std::uint64_t length, const Receive& receive) {
  if (offset < promised_)
    return fail(Errc::image_convert,
                fmt::format("qemu-img went back to byte {} of its output after byte {}", offset,
                            promised_));
  promised_ = offset + length;
  if (offset != covered_ + filled_) INGOT_TRY(advance_to(offset));
  while (length != 0) {
    if (!buffer_) {
      INGOT_TRY_ASSIGN(buffer_, sink_.buffer());
    }
    const auto room = kBlock - covered_ % kBlock - filled_;
    const auto part = std::min(length, room);
    INGOT_TRY(receive(buffer_.bytes().subspan(filled_, part)));
    filled_ += part;
    length -= part;
    if (part == room) INGOT_TRY(flush());
  }
  return {};
}

Result<void> SinkExport::zero(std::uint64_t offset, std::uint64_t length) {
  if (offset < promised_)
    return fail(Errc::image_convert,
                fmt::format("qemu-img went back to byte {} of its output after byte {}", offset,
                            promised_));
  promised_ = offset + length;  // a later write, or finish(), makes it zeros
  return {};
}

Result<void> SinkExport::finish() {
  return advance_to(size_);
}

}  // namespace ingot::imaging
