/// The compressions ingot undoes, and how each is told by its first bytes.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace ingot::imaging {

enum class Compression { gzip, xz, zstd, bzip2, lz4 };

inline constexpr std::array kCompressions = {Compression::gzip, Compression::xz, Compression::zstd,
                                             Compression::bzip2, Compression::lz4};

/// "gzip", "xz", "zstd", "bzip2", "lz4".
std::string_view name(Compression compression) noexcept;

/// Bytes at the start of a member (gzip), stream (xz, bzip2) or frame (zstd, lz4) that tell it from
/// anything else.
std::size_t magic_size(Compression compression) noexcept;

/// Whether `head`, of at least magic_size() bytes, starts one. For zstd and lz4 a skippable frame
/// counts, which the two formats share.
bool starts_member(Compression compression, std::span<const std::byte> head) noexcept;

/// Which compression `head`, the start of a file, is. Leading skippable frames are looked past as
/// far as `head` goes; a file of nothing else is called zstd, whose tools write them (pzstd).
std::optional<Compression> sniff_compression(std::span<const std::byte> head) noexcept;

}  // namespace ingot::imaging
