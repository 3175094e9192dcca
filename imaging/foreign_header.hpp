/// Bounded readers for the headers of vmdk, vhd, vhdx and vdi: how large the disk is, and whether
/// the file is one whole, self-contained image. They run before qemu-img ever sees a byte.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "disk/core/error.hpp"
#include "imaging/image_format.hpp"

namespace ingot::imaging {

/// The image file, as far as it can be read at the moment.
struct ForeignFile {
  std::optional<std::uint64_t> size;  ///< bytes, where known
  /// Fills `out` with the file's bytes from `offset` on. False: that part has not come yet.
  /// Errors: image.truncated past the end, and what reading meets.
  std::function<Result<bool>(std::uint64_t offset, std::span<std::byte> out)> read;
};

/// What the headers say.
struct ForeignHeader {
  std::uint64_t virtual_size = 0;  ///< bytes, an upper bound on what qemu-img decodes; 0: not known
  bool complete = true;  ///< false: something could not be checked, its part has not come yet
};

/// Judges `file`, which the probe or the user called `format`.
///
/// Refused, naming the field: what refers to another file (parents, extents, text descriptors) as
/// image.unsupported; a wrong magic or values out of range as image.corrupt. Allocates at most
/// 1 MiB, whatever the file says. Block tables and data are qemu-img's business.
Result<ForeignHeader> check_foreign_header(ImageFormat format, const ForeignFile& file);

/// The four of them; see check_foreign_header().
Result<ForeignHeader> check_vmdk(const ForeignFile& file);
Result<ForeignHeader> check_vhd(const ForeignFile& file);
Result<ForeignHeader> check_vhdx(const ForeignFile& file);
Result<ForeignHeader> check_vdi(const ForeignFile& file);

/// Largest disk any of the formats can hold (vhdx), bytes.
inline constexpr std::uint64_t kMaxForeignSize = 64ULL << 40;

}  // namespace ingot::imaging
