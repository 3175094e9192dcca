#include "imaging/qcow2/header.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "imaging/qcow2/endian.hpp"

namespace ingot::imaging::qcow2 {
namespace {

constexpr std::uint32_t kMagic = 0x514649fb;  // "QFI\xfb"
constexpr std::size_t kV2HeaderBytes = 72;
constexpr std::size_t kV3HeaderBytes = 104;
constexpr std::uint64_t kMaxBackingName = 1023;

constexpr std::uint64_t kIncompatDirty = 1U << 0;
constexpr std::uint64_t kIncompatCorrupt = 1U << 1;
constexpr std::uint64_t kIncompatDataFile = 1U << 2;
constexpr std::uint64_t kIncompatCompression = 1U << 3;
constexpr std::uint64_t kIncompatExtendedL2 = 1U << 4;
constexpr std::uint64_t kIncompatKnown = kIncompatDirty | kIncompatCorrupt | kIncompatDataFile |
                                         kIncompatCompression | kIncompatExtendedL2;

constexpr std::uint32_t kCryptLuks = 2;
constexpr std::uint64_t kAutoclearBitmaps = 1U << 0;
constexpr std::uint64_t kAutoclearRawDataFile = 1U << 1;

constexpr std::uint32_t kExtensionEnd = 0;
constexpr std::uint32_t kExtensionFeatureNames = 0x6803f857;
constexpr std::uint32_t kExtensionBackingFormat = 0xe2792aca;
constexpr std::uint32_t kExtensionEncryption = 0x0537be77;
constexpr std::uint32_t kExtensionBitmaps = 0x23852875;

// QEMU's limits; nothing larger can be opened there.
constexpr std::uint64_t kMaxRefcountTableBytes = 8 * MiB;
constexpr std::uint32_t kMaxSnapshots = 65536;
constexpr std::uint64_t kSnapshotEntryBytes = 40;  // at least
constexpr std::uint32_t kMaxBackingFormat = 15;
constexpr std::uint32_t kMaxBitmaps = 65535;
constexpr std::uint64_t kMaxBitmapDirectory = 1024ULL * kMaxBitmaps;

tl::unexpected<Error> corrupt(const std::string& what) {
  return fail(Errc::image_corrupt, "qcow2 header: " + what,
              "the image is damaged or was not made by a qcow2 tool; fetch or build it again");
}

// The feature name table (a header extension) lets an image name features that its reader does not
// know. Entries: type (0 = incompatible), bit number, 46 bytes of name.
std::string feature_names(std::span<const std::byte> head, std::size_t at, std::size_t end,
                          std::uint64_t unknown) {
  std::string names;
  while (at + 8 <= end) {
    const std::uint32_t type = be32(&head[at]);
    const std::uint32_t length = be32(&head[at + 4]);
    at += 8;
    if (type == kExtensionEnd || length > end - at) break;
    if (type == kExtensionFeatureNames) {
      for (std::size_t entry = at; entry + 48 <= at + length; entry += 48) {
        const auto bit = std::to_integer<unsigned>(head[entry + 1]);
        if (head[entry] != std::byte{0} || bit > 63 || (unknown >> bit & 1U) == 0) continue;
        for (std::size_t i = entry + 2; i < entry + 48 && head[i] != std::byte{0}; ++i) {
          const char c = static_cast<char>(head[i]);
          names += c >= 0x20 && c < 0x7f ? c : '?';
        }
        names += ' ';
      }
    }
    at += align_up(length, 8);
  }
  if (!names.empty()) names.pop_back();
  return names;
}

// A table that a reader has no use for; but a header that lies about it is not to be believed.
Result<void> check_table(const Header& header, const char* field, std::uint64_t offset,
                         std::uint64_t bytes) {
  if (!is_aligned(offset, header.cluster_size()))
    return corrupt(fmt::format("{} {:#x} is not aligned to the cluster size {}", field, offset,
                               header.cluster_size()));
  const auto end = checked_add(offset, bytes);
  if (!end || *end >> 63 != 0)
    return corrupt(fmt::format("{} {:#x} is out of range", field, offset));
  return {};
}

Result<void> check_bitmaps(std::span<const std::byte> content, std::uint64_t cluster_size) {
  const std::uint32_t bitmaps = be32(content.data());
  const std::uint64_t size = be64(&content[8]);
  const std::uint64_t offset = be64(&content[16]);
  if (be32(&content[4]) != 0 || bitmaps == 0 || bitmaps > kMaxBitmaps ||
      size > kMaxBitmapDirectory || !is_aligned(offset, cluster_size))
    return corrupt(
        fmt::format("the bitmaps extension names {} bitmaps in {} bytes at {:#x}, which "
                    "no image can have",
                    bitmaps, size, offset));
  return {};
}

// The header's extensions, from `at` to `end`, as far as `head` goes. What they say is of no use
// here, except that they must be what they say they are.
Result<void> check_extensions(std::span<const std::byte> head, std::uint64_t at, std::uint64_t end,
                              const Header& header, std::uint64_t autoclear) {
  while (at < end && at + 8 <= head.size()) {
    const std::uint32_t type = be32(&head[at]);
    const std::uint32_t length = be32(&head[at + 4]);
    if (at + 8 > end || length > end - at - 8)
      return corrupt(
          fmt::format("the extension {:#010x} at {:#x} with {} bytes reaches past the end of the "
                      "header's extensions at {:#x}",
                      type, at, length, end));
    at += 8;
    if (type == kExtensionEnd) return {};
    const auto content = head.subspan(at, std::min<std::uint64_t>(length, head.size() - at));
    if (type == kExtensionBackingFormat && length > kMaxBackingFormat)
      return corrupt(
          fmt::format("the name of the backing file's format has {} bytes, the most are "
                      "{}",
                      length, kMaxBackingFormat));
    if (type == kExtensionEncryption && header.crypt_method != kCryptLuks)
      return corrupt(fmt::format("there is an encryption extension, but crypt_method is {}",
                                 header.crypt_method));
    if (type == kExtensionBitmaps) {
      if (length != 24)
        return corrupt(fmt::format("the bitmaps extension has {} bytes, not 24", length));
      if ((autoclear & kAutoclearBitmaps) != 0 && content.size() == length)
        INGOT_TRY(check_bitmaps(content, header.cluster_size()));
    }
    at += align_up(length, 8);
  }
  return {};
}

std::string printable(std::span<const std::byte> text) {
  std::string shown;
  for (const auto byte : text) {
    const char c = static_cast<char>(byte);
    shown += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return shown;
}

Result<void> parse_v3(std::span<const std::byte> head, Header& header) {
  if (head.size() < kV3HeaderBytes)
    return corrupt(
        fmt::format("version 3 needs {} bytes, the file has {}", kV3HeaderBytes, head.size()));
  header.incompatible = be64(&head[72]);
  const std::uint32_t refcount_order = be32(&head[96]);
  const std::uint32_t header_length = be32(&head[100]);
  if (refcount_order > 6)
    return corrupt(fmt::format("refcount_order is {}, the largest is 6", refcount_order));
  header.refcount_bits = 1U << refcount_order;
  if (header_length < kV3HeaderBytes || header_length > header.cluster_size() ||
      header_length > head.size())
    return corrupt(fmt::format("header_length is {}, outside {} to the cluster size {}",
                               header_length, kV3HeaderBytes, header.cluster_size()));

  const std::uint64_t unknown = header.incompatible & ~kIncompatKnown;
  if (unknown != 0) {
    const std::size_t end = std::min<std::size_t>(head.size(), header.cluster_size());
    const std::string names = feature_names(head, align_up(header_length, 8), end, unknown);
    return fail(Errc::image_unsupported,
                fmt::format("qcow2 header: incompatible_features has unknown bits {:#x}{}", unknown,
                            names.empty() ? "" : " (" + names + ")"),
                "convert the image with a current qemu-img to one without that feature");
  }
  header.dirty = (header.incompatible & kIncompatDirty) != 0;
  header.corrupt = (header.incompatible & kIncompatCorrupt) != 0;
  header.has_data_file = (header.incompatible & kIncompatDataFile) != 0;
  if (!header.has_data_file && (be64(&head[88]) & kAutoclearRawDataFile) != 0)
    return corrupt("autoclear_features says that the external data file is raw, but there is none");
  header.extended_l2 = (header.incompatible & kIncompatExtendedL2) != 0;
  if (header.extended_l2 && header.cluster_bits < 14)
    return corrupt(
        fmt::format("extended L2 entries need clusters of 16 KiB or more, cluster_bits "
                    "is {}",
                    header.cluster_bits));

  // compression_type: one byte at 104, present when header_length says so.
  const unsigned type = header_length > 104 ? std::to_integer<unsigned>(head[104]) : 0;
  const bool flagged = (header.incompatible & kIncompatCompression) != 0;
  if (type > 1)
    return fail(Errc::image_unsupported,
                fmt::format("qcow2 header: compression_type is {}, known are 0 (deflate) and 1 "
                            "(zstd)",
                            type),
                "convert the image with qemu-img convert -c");
  if (flagged != (type != 0))
    return corrupt(fmt::format("compression_type is {} but its incompatible feature bit is {}",
                               type, flagged ? "set" : "not set"));
  if (type == 1) header.compression = ClusterCompression::zstd;
  return {};
}

}  // namespace

Result<Header> parse_header(std::span<const std::byte> head) {
  if (head.size() < kV2HeaderBytes || be32(head.data()) != kMagic)
    return corrupt("the magic number \"QFI\\xfb\" is missing");
  Header header;
  header.version = be32(&head[4]);
  if (header.version != 2 && header.version != 3)
    return fail(Errc::image_unsupported,
                fmt::format("qcow2 header: version is {}, known are 2 and 3", header.version),
                "convert the image with qemu-img convert -O qcow2");
  const std::uint64_t backing_offset = be64(&head[8]);
  const std::uint32_t backing_length = be32(&head[16]);
  header.cluster_bits = be32(&head[20]);
  header.virtual_size = be64(&head[24]);
  header.crypt_method = be32(&head[32]);
  header.l1_entries = be32(&head[36]);
  header.l1_offset = be64(&head[40]);
  header.snapshots = be32(&head[60]);

  if (header.cluster_bits < 9 || header.cluster_bits > 21)
    return corrupt(fmt::format("cluster_bits is {}, outside 9 to 21", header.cluster_bits));
  if (header.version == 3) INGOT_TRY(parse_v3(head, header));

  // QEMU counts disks in sectors of 512 bytes and drops the odd end of a size; so must we, for the
  // disk to be the one that qemu-img writes.
  const std::uint64_t stored_size = header.virtual_size;
  header.virtual_size = align_down(stored_size, 512);
  if (header.virtual_size == 0)
    return corrupt("size is less than one sector: there is no disk in this image");
  // 2^62 bounds every guest offset, so that sums of two of them cannot wrap.
  if (stored_size > (1ULL << 62))
    return corrupt(fmt::format("size is {} bytes, more than any disk has", stored_size));
  if (std::uint64_t{header.l1_entries} * 8 > kMaxL1Bytes)
    return corrupt(fmt::format("l1_size is {} entries, the largest table is {}", header.l1_entries,
                               format_bytes(kMaxL1Bytes)));
  // The odd end of a size counts here.
  const std::uint64_t needed = (stored_size + header.l2_span() - 1) / header.l2_span();
  if (needed > header.l1_entries)
    return corrupt(fmt::format("l1_size is {} entries, a disk of {} bytes needs {}",
                               header.l1_entries, stored_size, needed));
  if (!is_aligned(header.l1_offset, header.cluster_size()))
    return corrupt(fmt::format("l1_table_offset {:#x} is not aligned to the cluster size {}",
                               header.l1_offset, header.cluster_size()));
  if (header.l1_offset < header.cluster_size())
    return corrupt(fmt::format("l1_table_offset {:#x} overlaps the header", header.l1_offset));
  if (header.l1_offset > (1ULL << 56))
    return corrupt(
        fmt::format("l1_table_offset {:#x} is past the end of any file", header.l1_offset));

  const std::uint64_t refcount_offset = be64(&head[48]);
  const std::uint64_t refcount_bytes = std::uint64_t{be32(&head[56])} << header.cluster_bits;
  if (refcount_bytes == 0)
    return corrupt("refcount_table_clusters is 0: the image has no table of reference counts");
  if (refcount_bytes > kMaxRefcountTableBytes)
    return corrupt(fmt::format("refcount_table_clusters is {}, the largest table is {}",
                               refcount_bytes >> header.cluster_bits,
                               format_bytes(kMaxRefcountTableBytes)));
  INGOT_TRY(check_table(header, "refcount_table_offset", refcount_offset, refcount_bytes));
  if (header.snapshots > kMaxSnapshots)
    return corrupt(fmt::format("nb_snapshots is {}, the most that an image can have are {}",
                               header.snapshots, kMaxSnapshots));
  INGOT_TRY(check_table(header, "snapshots_offset", be64(&head[64]),
                        header.snapshots * kSnapshotEntryBytes));

  const std::uint64_t extensions = header.version == 3 ? be32(&head[100]) : kV2HeaderBytes;
  const std::uint64_t autoclear = header.version == 3 ? be64(&head[88]) : 0;
  if (backing_offset > header.cluster_size())
    return corrupt(fmt::format("backing_file_offset {:#x} is outside the first cluster of {} bytes",
                               backing_offset, header.cluster_size()));
  INGOT_TRY(check_extensions(head, extensions,
                             backing_offset != 0 ? backing_offset : header.cluster_size(), header,
                             autoclear));

  // A backing file without a name is none.
  if (backing_offset != 0 && backing_length != 0) {
    header.has_backing_file = true;
    if (backing_length > std::min(kMaxBackingName, header.cluster_size() - backing_offset))
      return corrupt(
          fmt::format("backing_file_size is {}, the longest name has {} bytes and ends "
                      "in the first cluster",
                      backing_length, kMaxBackingName));
    if (backing_offset < head.size() && backing_length <= head.size() - backing_offset)
      header.backing_file = printable(head.subspan(backing_offset, backing_length));
  }
  return header;
}

Result<void> check_supported(const Header& header, std::optional<std::uint64_t> file_size) {
  const std::string flatten =
      "write out a self-contained copy with qemu-img convert -O qcow2 and serve that";
  if (header.has_backing_file)
    return fail(Errc::image_unsupported,
                fmt::format("qcow2 header: backing_file_offset is set (backing file \"{}\"): the "
                            "image is only a difference to another one",
                            header.backing_file),
                flatten);
  if (header.has_data_file)
    return fail(Errc::image_unsupported,
                "qcow2 header: incompatible_features names an external data file: the image's data "
                "is in another file",
                flatten);
  if (header.crypt_method != 0)
    return fail(Errc::image_unsupported,
                fmt::format("qcow2 header: crypt_method is {}: the image is encrypted",
                            header.crypt_method),
                "serve a decrypted copy; encryption at rest belongs to the installed system");
  if (header.corrupt)
    return corrupt("incompatible_features has the corrupt bit set: QEMU found it damaged");
  if (file_size) {
    const auto end = checked_add(header.l1_offset, header.used_l1_entries() * 8);
    if (!end || *end > *file_size)
      return corrupt(
          fmt::format("l1_table_offset {:#x} with {} entries {} the end of the file ({} "
                      "bytes)",
                      header.l1_offset, header.used_l1_entries(),
                      header.l1_offset < *file_size ? "reaches past" : "is past", *file_size));
  }
  return {};
}

}  // namespace ingot::imaging::qcow2
