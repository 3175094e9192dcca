// open_config_drive(): what was given, and the unwrapping of it.
#include <fmt/format.h>

#include <algorithm>

#include "disk/core/printable.hpp"
#include "imaging/codec.hpp"
#include "imaging/config_drive/base64.hpp"
#include "imaging/config_drive/config_drive.hpp"
#include "imaging/content_magic.hpp"
#include "imaging/filesystem_probe.hpp"

namespace ingot::imaging {
namespace {

using Bytes = std::span<const std::byte>;

constexpr const char* kAdvice =
    "a config drive is an ISO 9660 or FAT image, plain, gzip-compressed, or as base64 text of "
    "either; "
    "docs/config-drive.md shows how to make one";
constexpr std::size_t kSmallest = 512;  // of both file systems: one sector
constexpr std::size_t kFirstOutput = 1 * MiB;

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Errc::usage_config_drive, "the config drive: " + why, kAdvice);
}

tl::unexpected<Error> too_large() {
  return refuse(fmt::format("it is larger than {}", format_bytes(kMaxConfigDrive)));
}

bool is_gzip(Bytes bytes) {
  return bytes.size() >= magic_size(Compression::gzip) && starts_member(Compression::gzip, bytes);
}

// What people give by mistake, by name; the bytes themselves are never shown.
std::string describe(Bytes bytes) {
  if (bytes.empty()) return "it is empty";
  if (looks_like_html(bytes)) return "it is a web page";
  if (const auto magic = find_image_magic(bytes)) return "it is " + magic->description;
  if (const auto packed = find_packed_magic(bytes)) return "it is " + *packed;
  if (const auto text = find_text_kind(bytes)) return fmt::format("it is {}, not base64", *text);
  return "it holds no file system that it may have (ISO 9660, FAT)";
}

// Every member of `bytes`; zeros may follow, as gzip(1) allows.
Result<SecretBytes> gunzip(Bytes bytes) {
  const auto codec = make_gzip_codec();
  SecretBytes out(kFirstOutput);
  std::size_t size = 0;
  while (is_gzip(bytes)) {
    INGOT_TRY(codec->restart());
    for (bool ended = false; !ended;) {
      if (size == out.size()) {
        if (size > kMaxConfigDrive) return too_large();
        // One byte more than allowed, to see that there is more.
        out.resize(std::min<std::size_t>(2 * size, kMaxConfigDrive + 1));
      }
      const auto step = codec->decode(bytes, std::span(out).subspan(size));
      if (!step) return refuse("its gzip data is damaged: " + step.error().message());
      bytes = bytes.subspan(step->consumed);
      size += step->produced;
      ended = step->member_end;
      if (!ended && step->consumed == 0 && step->produced == 0)
        return refuse("its gzip data is cut off");
    }
  }
  if (std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; }))
    return refuse("something else follows its gzip data");
  if (size > kMaxConfigDrive) return too_large();
  out.resize(size);
  return out;
}

std::uint32_t le16(const std::byte* at) {
  return std::to_integer<std::uint32_t>(at[0]) | std::to_integer<std::uint32_t>(at[1]) << 8;
}
std::uint32_t le32(const std::byte* at) {
  return le16(at) | le16(at + 2) << 16;
}

// The size in bytes that an ISO 9660 image states (ECMA-119, 8.4.8 and 8.4.12), or 0.
std::uint64_t iso_size(Bytes image) {
  constexpr std::size_t kDescriptor = 16 * 2048;
  if (image.size() < kDescriptor + 2048) return 0;
  const std::byte* const at = image.data() + kDescriptor;
  return std::uint64_t{le32(at + 80)} * le16(at + 128);
}

// The logical sector of a FAT file system, of which libblkid has seen that it makes sense, and how
// many there are (Microsoft, "FAT: General Overview of On-Disk Format" 1.03).
std::uint32_t fat_sector(Bytes image) {
  return le16(image.data() + 11);
}
std::uint64_t fat_sectors(Bytes image) {
  const std::uint32_t count = le16(image.data() + 19);
  return count != 0 ? count : le32(image.data() + 32);
}

// `bytes` as an image, or nothing when they hold neither file system.
Result<std::optional<ConfigDrive>> as_image(Bytes bytes) {
  if (bytes.size() < kSmallest) return std::nullopt;
  INGOT_TRY_ASSIGN(const auto volume, find_volume(bytes));
  if (!volume) return std::nullopt;
  if (bytes.size() > kMaxConfigDrive) return too_large();
  ConfigDrive drive;
  std::uint64_t stated = 0;
  if (volume->fat) {
    drive.kind = ConfigDrive::Kind::fat;
    drive.sector_size = fat_sector(bytes);
    stated = drive.sector_size * fat_sectors(bytes);
  } else {
    stated = iso_size(bytes);
  }
  if (stated == 0) return refuse("its file system is damaged");
  if (stated > bytes.size())
    return refuse(
        fmt::format("it is cut off: of {} bytes only {} are there", stated, bytes.size()));
  drive.label = printable(std::as_bytes(std::span(volume->label)), 64);
  drive.image.reserve(align_up(bytes.size(), 512));
  drive.image.assign(bytes.begin(), bytes.end());
  drive.image.resize(align_up(bytes.size(), 512));
  return drive;
}

// An image, or gzip of one.
Result<std::optional<ConfigDrive>> as_binary(Bytes bytes) {
  INGOT_TRY_ASSIGN(auto drive, as_image(bytes));
  if (drive || !is_gzip(bytes)) return drive;
  INGOT_TRY_ASSIGN(const SecretBytes unpacked, gunzip(bytes));
  INGOT_TRY_ASSIGN(drive, as_image(unpacked));
  if (!drive) return refuse("inside its gzip data: " + describe(unpacked));
  return drive;
}

}  // namespace

bool ConfigDrive::well_labelled() const {
  std::string lower = label;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower == "config-2";
}

Result<ConfigDrive> open_config_drive(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxConfigDriveText) return too_large();
  INGOT_TRY_ASSIGN(auto drive, as_binary(bytes));
  if (drive) return *std::move(drive);
  const auto decoded = decode_base64(bytes);
  if (!decoded || decoded->empty()) return refuse(describe(bytes));
  if (decoded->size() > kMaxConfigDrive) return too_large();
  INGOT_TRY_ASSIGN(drive, as_binary(*decoded));
  if (!drive) return refuse("inside its base64 text: " + describe(*decoded));
  return *std::move(drive);
}

}  // namespace ingot::imaging
