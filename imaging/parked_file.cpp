#include "imaging/parked_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "disk/core/units.hpp"

namespace ingot::imaging {

ForeignFile ParkedFile::view() {
  const auto size = ended_ ? std::optional(received_) : in_.size();
  return {size,
          [this](std::uint64_t offset, std::span<std::byte> out) { return read(offset, out); }};
}

Result<bool> ParkedFile::read(std::uint64_t offset, std::span<std::byte> out) {
  const auto end = checked_add(offset, out.size());
  const auto truncated = [&] {
    return fail(Errc::image_truncated,
                fmt::format("the image ends at byte {}, before its header's byte {}", received_,
                            end.value_or(UINT64_MAX)));
  };
  if (!end) return truncated();
  if (scratch_ != nullptr) {
    if (*end > received_) return truncated();
    INGOT_TRY(scratch_->read(offset, out));
    return true;
  }
  while (!ended_ && received_ < *end) {
    if (*end > head_limit_) return false;
    INGOT_TRY_ASSIGN(const Slice slice, in_.next());
    head_.insert(head_.end(), slice.bytes().begin(), slice.bytes().end());
    received_ += slice.size();
    ended_ = slice.empty();
  }
  if (*end > received_) return truncated();
  std::ranges::copy(std::span(head_).subspan(offset, out.size()), out.begin());
  return true;
}

Result<void> ParkedFile::put(std::uint64_t offset, std::span<const std::byte> data) {
  const auto room = scratch_->capacity();
  if (data.size() > room || offset > room - data.size()) {
    const auto whole = in_.size();
    return fail(
        Errc::image_not_streamable,
        fmt::format("parking the image file in {}: the room of {} ends before the file{}",
                    scratch_->describe(), format_bytes(room),
                    whole ? fmt::format(" of {}", format_bytes(*whole)) : std::string()),
        fmt::format("{} would be enough: give a --scratch-dir with that, use a larger disk, or "
                    "serve the image as qcow2 or raw, which need no room",
                    whole ? format_bytes(*whole) : "room for the whole image file"));
  }
  return scratch_->write(offset, data);
}

Result<void> ParkedFile::park(Scratch& scratch, const std::stop_token& stop) {
  scratch_ = &scratch;
  // Known not to fit: said before anything is stored.
  if (in_.size() && *in_.size() > scratch.capacity()) return put(*in_.size(), {});
  if (!head_.empty()) INGOT_TRY(put(0, head_));
  head_ = {};
  while (!ended_) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "parking the image file: cancelled");
    INGOT_TRY_ASSIGN(const Slice slice, in_.next());
    ended_ = slice.empty();
    if (ended_) break;
    INGOT_TRY(put(received_, slice.bytes()));
    received_ += slice.size();
  }
  return {};
}

}  // namespace ingot::imaging
