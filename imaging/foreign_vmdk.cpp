// vmdk, the two kinds that are one file: monolithicSparse and streamOptimized. Layout: VMware's
// "Virtual Disk Format 5.0"; little-endian, sizes in sectors of 512 bytes. The header names an
// embedded text descriptor, and that is where a vmdk can point at other files.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/lower_case.hpp"
#include "disk/core/units.hpp"
#include "imaging/foreign_fields.hpp"
#include "imaging/foreign_header.hpp"

namespace ingot::imaging {
namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kMaxDescriptor = MiB;
// Where qemu looks for the parent's name in a sparse file, whatever the header says.
constexpr std::uint64_t kQemuDescriptorAt = 512, kQemuDescriptorSize = 20 * kSector;
constexpr std::uint64_t kGrainDirectoryAtEnd = UINT64_MAX;
constexpr const char* kFlatten =
    "convert it first: qemu-img convert -O vmdk -o subformat=streamOptimized";

struct SparseHeader {
  std::uint64_t capacity, descriptor_at, descriptor_size, grain_directory;  // sectors
};

SparseHeader parse(const Fields& header) {
  return {header.le<std::uint64_t>(12), header.le<std::uint64_t>(28), header.le<std::uint64_t>(36),
          header.le<std::uint64_t>(56)};
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string_view unquote(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    return text.substr(1, text.size() - 2);
  return text;
}

// At most 60 printable characters of something an image says.
std::string shown(std::string_view text) {
  std::string result(text.substr(0, 60));
  std::ranges::replace_if(
      result, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return result;
}

Result<void> no_parent_hint(std::string_view text) {
  if (lower_case(text).find("parentfilenamehint") == std::string::npos) return {};
  return fail(Errc::image_unsupported,
              "vmdk: parentFileNameHint in the descriptor, so it needs another image", kFlatten);
}

// "RW 4192256 SPARSE "name.vmdk"": the one extent there may be is this file itself. Its name is
// what the file was called when it was made, so it can only be required to be a plain name.
Result<void> check_extent(std::string_view line) {
  const auto quote = line.find('"');
  const auto words = lower_case(line.substr(0, quote));
  if (words.find(" sparse ") == std::string::npos)
    return fail(Errc::image_unsupported,
                fmt::format("vmdk: extent \"{}\" is not of type SPARSE", shown(line)), kFlatten);
  const auto end = line.rfind('"');
  const auto file = quote < end ? line.substr(quote + 1, end - quote - 1) : std::string_view{};
  if (file.empty() || file.find_first_of("/\\:\"") != std::string_view::npos)
    return fail(Errc::image_unsupported,
                fmt::format("vmdk: extent \"{}\" names another file", shown(line)), kFlatten);
  return {};
}

Result<void> check_descriptor(std::string_view text) {
  INGOT_TRY(no_parent_hint(text));
  text = text.substr(0, text.find('\0'));
  std::string type;
  int extents = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (line.empty() || line.front() == '#') continue;
    const auto first_word = lower_case(line.substr(0, line.find_first_of(" \t=")));
    if (first_word == "rw" || first_word == "rdonly" || first_word == "noaccess") {
      if (++extents > 1)
        return fail(Errc::image_unsupported, "vmdk: more than one extent in the descriptor",
                    kFlatten);
      INGOT_TRY(check_extent(line));
      continue;
    }
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const auto value = lower_case(unquote(trim(line.substr(equals + 1))));
    if (first_word == "createtype") {
      if (!type.empty()) return fail(Errc::image_corrupt, "vmdk: createType appears twice");
      type = value;
      if (type != "monolithicsparse" && type != "streamoptimized")
        return fail(Errc::image_unsupported,
                    fmt::format("vmdk: createType \"{}\"; only monolithicSparse and "
                                "streamOptimized are one file",
                                shown(type)),
                    kFlatten);
    } else if (first_word == "parentcid" && value != "ffffffff") {
      return fail(Errc::image_unsupported,
                  fmt::format("vmdk: parentCID {} in the descriptor, so it needs another image",
                              shown(value)),
                  kFlatten);
    }
  }
  if (type.empty()) return fail(Errc::image_corrupt, "vmdk: no createType in the descriptor");
  if (extents != 1) return fail(Errc::image_corrupt, "vmdk: no extent in the descriptor");
  return {};
}

// The footer's copy of the header is the one that counts when the grain directory is at the end.
// It must not say anything else than the one that was checked.
Result<bool> check_footer(const ForeignFile& file, const SparseHeader& header) {
  if (!file.size) return false;
  if (*file.size % kSector != 0 || *file.size < 4 * kSector)
    return fail(Errc::image_truncated, "vmdk: the file's size is no multiple of a sector");
  std::array<std::byte, 3 * kSector> bytes{};  // footer marker, header, end-of-stream marker
  INGOT_TRY_ASSIGN(const bool there, file.read(*file.size - bytes.size(), bytes));
  if (!there) return false;
  const auto footer_bytes = std::span<const std::byte>(bytes).subspan(kSector, kSector);
  if (Fields(footer_bytes).text(0, 4) != "KDMV")
    return fail(Errc::image_truncated, "vmdk: no footer at the end, where the header expects one");
  const auto footer = parse(Fields(footer_bytes));
  if (footer.capacity != header.capacity || footer.descriptor_at != header.descriptor_at ||
      footer.descriptor_size != header.descriptor_size)
    return fail(Errc::image_corrupt,
                "vmdk: capacity or descriptor of the footer differ from the header's");
  return true;
}

}  // namespace

Result<ForeignHeader> check_vmdk(const ForeignFile& file) {
  std::array<std::byte, kSector> bytes{};
  INGOT_TRY_ASSIGN(const bool there, file.read(0, bytes));
  if (!there) return ForeignHeader{0, false};
  const Fields fields(bytes);
  if (fields.text(0, 4) != "KDMV") {
    if (lower_case(fields.text(0, 64)).find("disk descriptorfile") != std::string::npos)
      return fail(Errc::image_unsupported, "vmdk: a text descriptor, whose data is in other files",
                  kFlatten);
    return fail(Errc::image_corrupt, "vmdk: wrong magic at byte 0");
  }
  const auto version = fields.le<std::uint32_t>(4);
  if (version < 1 || version > 3)
    return fail(Errc::image_unsupported, fmt::format("vmdk: version {} is not known", version));

  const auto header = parse(fields);
  const auto size = checked_mul(header.capacity, kSector);
  // A capacity of 0 makes qemu follow the descriptor instead, to whatever files that names.
  if (header.capacity == 0 || !size || *size > kMaxForeignSize)
    return fail(Errc::image_corrupt,
                fmt::format("vmdk: capacity {} is out of range", header.capacity));
  ForeignHeader result{*size, true};

  const auto descriptor_at = checked_mul(header.descriptor_at, kSector);
  const auto descriptor_size = checked_mul(header.descriptor_size, kSector);
  if (descriptor_at && descriptor_size && (*descriptor_at == 0 || *descriptor_size == 0))
    return fail(Errc::image_unsupported,
                "vmdk: no embedded descriptor, so it is one part of a split disk", kFlatten);
  if (!descriptor_at || !descriptor_size || *descriptor_size > kMaxDescriptor ||
      !checked_add(*descriptor_at, *descriptor_size) ||
      (file.size && *descriptor_at + *descriptor_size > *file.size))
    return fail(Errc::image_corrupt,
                fmt::format("vmdk: descriptor of {} sectors at sector {} is out of range",
                            header.descriptor_size, header.descriptor_at));
  std::vector<std::byte> text(*descriptor_size);
  INGOT_TRY_ASSIGN(const bool descriptor_there, file.read(*descriptor_at, text));
  if (descriptor_there) INGOT_TRY(check_descriptor(Fields(text).text(0, text.size())));
  result.complete = descriptor_there;

  text.resize(kQemuDescriptorSize);
  if (file.size && *file.size < kQemuDescriptorAt + kQemuDescriptorSize)
    text.resize(*file.size > kQemuDescriptorAt ? *file.size - kQemuDescriptorAt : 0);
  INGOT_TRY_ASSIGN(const bool start_there, file.read(kQemuDescriptorAt, text));
  if (start_there) INGOT_TRY(no_parent_hint(Fields(text).text(0, text.size())));
  result.complete = result.complete && start_there;

  if (header.grain_directory == kGrainDirectoryAtEnd) {
    INGOT_TRY_ASSIGN(const bool footer_there, check_footer(file, header));
    result.complete = result.complete && footer_there;
  }
  return result;
}

Result<ForeignHeader> check_foreign_header(ImageFormat format, const ForeignFile& file) {
  switch (format) {
    case ImageFormat::vmdk:
      return check_vmdk(file);
    case ImageFormat::vhd:
      return check_vhd(file);
    case ImageFormat::vhdx:
      return check_vhdx(file);
    case ImageFormat::vdi:
      return check_vdi(file);
    case ImageFormat::raw:
    case ImageFormat::qcow2:
      break;
  }
  return fail(Errc::internal_bug, fmt::format("{} has no foreign header", name(format)));
}

}  // namespace ingot::imaging
