#include "imaging/tar_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/printable.hpp"
#include "imaging/archive_companion.hpp"
#include "imaging/zero_scan.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kTarBlock = 512;
// A sparse file's map is read with the header, and every entry costs libarchive about ten times
// its four bytes of text.
constexpr std::size_t kHeaderLimit = 4 * 1024 * 1024;
constexpr std::size_t kHeaderPiece = 64 * 1024;

std::string entry_name(archive_entry* entry) {
  const char* path = archive_entry_pathname(entry);
  if (path == nullptr) path = archive_entry_pathname_utf8(entry);
  if (path == nullptr) return "(a name that cannot be shown)";
  return "'" + printable(std::as_bytes(std::span(std::string_view(path))), 100) + "'";
}

/// An entry's path as one that extracts it would see it: "./a//b/" is "a/b".
std::string plain_path(archive_entry* entry) {
  const char* path = archive_entry_pathname(entry);
  std::string plain =
      std::filesystem::path(path != nullptr ? path : "").lexically_normal().string();
  while (plain.ends_with('/')) plain.pop_back();
  plain.erase(0, std::min(plain.find_first_not_of('/'), plain.size()));
  return plain;
}

/// What kind of entry that is no file it is; nothing for a file. A hard link is a file if it has
/// contents of its own (pax allows that), else another name of one that came before.
std::string_view link_kind(archive_entry* entry) {
  if (archive_entry_filetype(entry) == AE_IFLNK) return "a symbolic link";
  const bool own_contents = archive_entry_size_is_set(entry) != 0 && archive_entry_size(entry) > 0;
  if (archive_entry_hardlink(entry) != nullptr && !own_contents) return "a hard link";
  return {};
}

/// What an entry is that only a tar of a file system has; nothing for every other.
std::string_view special_kind(archive_entry* entry) {
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFLNK:
      return {};
    case AE_IFCHR:
    case AE_IFBLK:
      return "a device";
    case AE_IFIFO:
      return "a FIFO";
    default:  // hard links have no type of their own
      if (archive_entry_hardlink(entry) != nullptr) return {};
      return "neither file nor directory";
  }
}

constexpr const char* kOneImage = "a tar must hold exactly one disk image, and texts at most";

}  // namespace

bool starts_tar(std::span<const std::byte> head) noexcept {
  constexpr std::size_t kMagicAt = 257, kChecksumAt = 148, kChecksumSize = 8;
  if (head.size() < kTarBlock || std::memcmp(head.data() + kMagicAt, "ustar", 5) != 0) return false;
  if (head[510] == std::byte{0x55} && head[511] == std::byte{0xaa}) return false;
  unsigned sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    const bool in_checksum = i >= kChecksumAt && i < kChecksumAt + kChecksumSize;
    sum += in_checksum ? unsigned{' '} : std::to_integer<unsigned>(head[i]);
  }
  unsigned stated = 0;
  for (std::size_t i = kChecksumAt; i < kChecksumAt + kChecksumSize; ++i) {
    const char digit = static_cast<char>(head[i]);
    if (digit >= '0' && digit <= '7') stated = stated * 8 + static_cast<unsigned>(digit - '0');
  }
  return sum == stated;
}

struct TarStream::Impl {
  Impl(std::unique_ptr<ByteStream> input, std::stop_token stop_token)
      : in(std::move(input)),
        stop(std::move(stop_token)),
        pool(kStreamBlock, kBlocks),
        reader(archive_read_new(), &archive_read_free) {}

  std::unique_ptr<ByteStream> in;
  std::stop_token stop;
  BufferPool pool;
  std::unique_ptr<archive, int (*)(archive*)> reader;
  std::optional<Error> input_error;  // of `in`, met inside libarchive

  // What libarchive is given.
  Slice slice;
  Slice rest;
  bool in_header = false;
  std::size_t header_bytes = 0;      // given to it for the current header
  std::uint64_t given = 0;           // bytes of the tar
  std::uint64_t trailing_zeros = 0;  // how many of them, at the end, are zeros

  // The file being read.
  std::string name;
  bool sparse = false;
  std::uint64_t file_size = 0;
  std::uint64_t position = 0;       // read
  std::span<const std::byte> data;  // libarchive's, not read yet
  std::uint64_t data_at = 0;        // in the file, of `data`
  bool data_ended = false;
  std::vector<std::byte> head;  // its first bytes, read to judge it

  // The image.
  std::string image_path;  // plain; "": not found yet
  std::uint64_t image_size = 0;
  std::uint64_t delivered = 0;
  std::optional<Result<Slice>> last;  // the end, or the error, once met

  // What stands beside it.
  std::string first_skipped;  // "'README' is a text"
  std::uint64_t skipped = 0;

  static la_ssize_t read_callback(archive*, void* self, const void** buffer) noexcept {
    return static_cast<Impl*>(self)->give(buffer);
  }

  la_ssize_t give(const void** buffer) noexcept {
    try {
      if (rest.empty()) {
        slice = Slice();
        if (stop.stop_requested()) {
          input_error = Error(Errc::cancelled, "reading a tar: cancelled");
          return ARCHIVE_FATAL;
        }
        auto got = in->next();
        if (!got) {
          input_error = got.error();
          return ARCHIVE_FATAL;
        }
        rest = *std::move(got);
      }
      if (in_header && header_bytes > kHeaderLimit) {
        input_error = Error(Errc::image_archive, "the header of a tar entry is larger than 4 MiB");
        return ARCHIVE_FATAL;
      }
      slice = rest.sub(0, in_header ? kHeaderPiece : SIZE_MAX);
      rest = rest.sub(slice.size());
      header_bytes += slice.size();
      count(slice.bytes());
      *buffer = slice.bytes().data();
      return static_cast<la_ssize_t>(slice.size());
    } catch (...) {
      return ARCHIVE_FATAL;
    }
  }

  void count(std::span<const std::byte> bytes) noexcept {
    given += bytes.size();
    if (all_zero(bytes)) {
      trailing_zeros += bytes.size();
      return;
    }
    trailing_zeros = 0;
    for (auto at = bytes.rbegin(); *at == std::byte{0}; ++at) ++trailing_zeros;
  }

  tl::unexpected<Error> error(std::string_view doing) {
    if (input_error) return tl::unexpected<Error>(*input_error);
    const char* text = archive_error_string(reader.get());
    return fail(Errc::image_archive,
                fmt::format("{}: {}", doing, text != nullptr ? text : "invalid data"),
                "check that the archive was uploaded completely");
  }

  /// The next entry that is no directory; nothing at the end.
  Result<archive_entry*> next_entry() {
    archive_entry* entry = nullptr;
    for (;;) {
      in_header = true;
      header_bytes = 0;
      const int status = archive_read_next_header(reader.get(), &entry);
      in_header = false;
      if (status == ARCHIVE_EOF) return nullptr;
      // A warning is about a name's character set or an attribute that is of no use here.
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return error("reading a tar header");
      // Whoever extracts the tar gets the last one.
      if (!image_path.empty() && plain_path(entry) == image_path)
        return fail(
            Errc::image_archive,
            fmt::format("the tar has {} twice: the later one would replace the image", name),
            kOneImage);
      if (archive_entry_filetype(entry) != AE_IFDIR) return entry;
    }
  }

  Result<void> open() {
    archive_read_support_format_tar(reader.get());
    in_header = true;
    if (archive_read_open(reader.get(), this, nullptr, &read_callback, nullptr) != ARCHIVE_OK)
      return error("opening a tar");
    INGOT_TRY_ASSIGN(const bool found, next_image());
    if (found) {
      image_size = file_size;
      return {};
    }
    if (skipped == 0) return fail(Errc::image_archive, "the tar holds no file", kOneImage);
    const std::string others = skipped == 1 ? "" : fmt::format(", and so on ({} entries)", skipped);
    return fail(Errc::image_archive,
                fmt::format("the tar holds no disk image: {}{}", first_skipped, others), kOneImage);
  }

  /// Reads on to the next file that is an image as far as its head tells. False at the tar's end.
  Result<bool> next_image() {
    for (;;) {
      INGOT_TRY_ASSIGN(archive_entry * entry, next_entry());
      if (entry == nullptr) return false;
      const std::string shown = entry_name(entry);
      if (const auto kind = special_kind(entry); !kind.empty())
        return fail(Errc::image_archive,
                    fmt::format("the tar's entry {} is {}: it is of a file system, not of a disk "
                                "image",
                                shown, kind),
                    kOneImage);
      std::string_view kind = link_kind(entry);
      if (kind.empty()) {
        INGOT_TRY(begin_file(entry));
        const char* path = archive_entry_pathname(entry);
        kind = companion_kind(path != nullptr ? path : "", head, file_size);
        if (kind.empty()) {
          image_path = plain_path(entry);
          return true;
        }
        // Not left to the next header, whose length is limited.
        if (archive_read_data_skip(reader.get()) != ARCHIVE_OK)
          return error(fmt::format("reading {} from a tar", name));
      }
      if (skipped++ == 0) first_skipped = fmt::format("{} is {}", shown, kind);
    }
  }

  Result<void> begin_file(archive_entry* entry) {
    name = entry_name(entry);
    const auto size = archive_entry_size(entry);
    if (archive_entry_size_is_set(entry) == 0 || size < 0)
      return fail(Errc::image_archive, fmt::format("the tar's entry {} has no valid size", name));
    file_size = static_cast<std::uint64_t>(size);
    sparse = archive_entry_sparse_count(entry) > 0;
    position = 0;
    data = {};
    data_at = 0;
    data_ended = false;
    head.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file_size, kCompanionHead)));
    INGOT_TRY(fill(head));
    return {};
  }

  /// Makes `data` the next piece of the file, or sets `data_ended`.
  Result<void> read_data() {
    const void* buffer = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader.get(), &buffer, &length, &offset);
    if (status == ARCHIVE_EOF) {
      data_ended = true;
      return {};
    }
    if (status != ARCHIVE_OK) return error(fmt::format("reading {} from a tar", name));
    const auto at = static_cast<std::uint64_t>(offset);
    if (offset < 0 || at < position || at > file_size || length > file_size - at)
      return fail(Errc::image_archive,
                  fmt::format("reading {} from a tar: its sparse map is invalid", name));
    data = {static_cast<const std::byte*>(buffer), length};
    data_at = at;
    return {};
  }

  Result<std::size_t> fill(std::span<std::byte> out) {
    out = out.first(
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), file_size - position)));
    std::size_t filled = 0;
    while (filled < out.size()) {
      if (data.empty() && !data_ended) {
        INGOT_TRY(read_data());
        if (data.empty() && !data_ended) continue;
      }
      if (data_ended && !sparse)
        return fail(Errc::image_archive, fmt::format("reading {} from a tar: truncated", name));
      const std::uint64_t hole_end = data_ended ? file_size : data_at;
      auto here = out.subspan(filled);
      std::size_t step = 0;
      if (position < hole_end) {
        step = static_cast<std::size_t>(std::min<std::uint64_t>(here.size(), hole_end - position));
        std::memset(here.data(), 0, step);
      } else {
        step = std::min(here.size(), data.size());
        std::memcpy(here.data(), data.data(), step);
        data = data.subspan(step);
        data_at += step;
      }
      filled += step;
      position += step;
    }
    return filled;
  }

  /// Requires that the tar ends here, and reads the input to its end: a compressed tar's checksums
  /// stand behind it.
  Result<void> finish() {
    const std::string image = name;
    INGOT_TRY_ASSIGN(const bool another, next_image());
    if (another)
      return fail(Errc::image_archive,
                  fmt::format("the tar holds more than one image: {} and {}", image, name),
                  kOneImage);
    const auto marker_at = static_cast<std::uint64_t>(archive_read_header_position(reader.get()));
    const void* unused = nullptr;
    for (;;) {
      const auto length = give(&unused);
      if (length < 0) return error("reading the end of a tar");
      if (length == 0) break;
    }
    if (given < marker_at + kTarBlock)
      return fail(Errc::image_archive, "the tar has no end marker: truncated",
                  "check that the archive was uploaded completely");
    if (given - trailing_zeros > marker_at)
      return fail(Errc::image_archive, "the tar is followed by other data",
                  "remove what was appended to the archive");
    return {};
  }

  Result<Slice> next() {
    if (delivered == image_size) return Slice();
    INGOT_TRY_ASSIGN(BufferRef block, pool.acquire(stop));
    auto out = block.bytes();
    std::size_t from_head = 0;
    if (delivered == 0) {
      std::ranges::copy(head, out.begin());
      from_head = head.size();
    }
    INGOT_TRY_ASSIGN(const std::size_t filled, fill(out.subspan(from_head)));
    const auto view = out.first(from_head + filled);
    delivered += view.size();
    // Before the last bytes are given away, so that a second image behind a short first one is
    // found by whoever looks at the first block only.
    if (delivered == image_size) INGOT_TRY(finish());
    return Slice(std::move(block), view);
  }
};

TarStream::TarStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TarStream::~TarStream() = default;

Result<std::unique_ptr<TarStream>> TarStream::open(std::unique_ptr<ByteStream> in,
                                                   std::stop_token stop) {
  auto impl = std::make_unique<Impl>(std::move(in), std::move(stop));
  INGOT_TRY(impl->open());
  return std::unique_ptr<TarStream>(new TarStream(std::move(impl)));
}

Result<Slice> TarStream::next() {
  if (impl_->last) return *impl_->last;
  auto slice = impl_->next();
  if (!slice || slice->empty()) impl_->last = slice;
  return slice;
}

std::optional<std::uint64_t> TarStream::size() const {
  return impl_->image_size;
}

}  // namespace ingot::imaging
