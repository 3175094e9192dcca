#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <memory>
#include <string>
#include <string_view>

#include "imaging/config_drive/tree_readers.hpp"

namespace ingot::imaging {
namespace {

// libarchive puts "./" in front of every path but the root's.
std::string below_root(std::string_view path) {
  return std::string(path.starts_with("./") ? path.substr(2) : path);
}

// A path as libarchive hands it out: Rock Ridge's bytes as they are, Joliet's converted.
std::string path_of(archive_entry* entry) {
  const char* path = archive_entry_pathname(entry);
  if (path == nullptr) path = archive_entry_pathname_utf8(entry);
  return below_root(path != nullptr ? path : "");
}

// libarchive converts Joliet's names into the character set of the thread's locale: UTF-8 while
// this exists.
class Utf8Locale {
 public:
  Utf8Locale() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (utf8_ != nullptr) before_ = ::uselocale(utf8_);
  }
  ~Utf8Locale() {
    if (utf8_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(utf8_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t utf8_, before_ = nullptr;
};

class Reader {
 public:
  Reader(std::span<const std::byte> image, const TreeLimits& limits)
      : image_(image), archive_(archive_read_new(), &archive_read_free), tree_(limits) {}

  Result<FileTree> read(const std::stop_token& stop) {
    // The one format: no other may be found in what someone sent.
    if (archive_ == nullptr || archive_read_support_format_iso9660(archive_.get()) != ARCHIVE_OK)
      return fail(Errc::internal_bug, "libarchive could not be set up");
    if (archive_read_open_memory(archive_.get(), image_.data(), image_.size()) != ARCHIVE_OK)
      return damaged();
    for (;;) {
      if (stop.stop_requested())
        return fail(Errc::cancelled, "reading the config drive's files: cancelled");
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(archive_.get(), &entry);
      if (status == ARCHIVE_EOF) return tree_.take();
      // A warning is about a time or a character set; the name is judged here.
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return damaged();
      INGOT_TRY(take(entry));
    }
  }

 private:
  Result<void> take(archive_entry* entry) {
    TreeEntry taken;
    taken.path = path_of(entry);
    const auto type = archive_entry_filetype(entry);
    taken.directory = type == AE_IFDIR;
    if (taken.directory && taken.path == ".") return {};  // the root
    if (!taken.directory && type != AE_IFREG) return {};
    if (const char* same = archive_entry_hardlink(entry)) return link(std::move(taken), same);
    const auto size = archive_entry_size(entry);
    if (!taken.directory && size > 0) {
      // More than the image holds is not even tried (ISO 9660 has no holes).
      if (static_cast<std::uint64_t>(size) > image_.size()) return damaged();
      INGOT_TRY(tree_.reserve(static_cast<std::uint64_t>(size)));
      taken.content.resize(static_cast<std::size_t>(size));
      INGOT_TRY(read_content(taken.content));
    }
    return tree_.add(std::move(taken));
  }

  // Two names for one extent: libarchive gives the content with the first one only.
  Result<void> link(TreeEntry taken, const std::string& same) {
    const TreeEntry* const first = tree_.find(below_root(same));
    if (first == nullptr || first->directory) return damaged();
    INGOT_TRY(tree_.reserve(first->content.size()));
    taken.content = first->content;
    return tree_.add(std::move(taken));
  }

  Result<void> read_content(std::span<std::byte> out) {
    while (!out.empty()) {
      const la_ssize_t got = archive_read_data(archive_.get(), out.data(), out.size());
      if (got <= 0) return damaged();
      out = out.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

  tl::unexpected<Error> damaged() {
    return refuse_tree("its ISO 9660 file system is damaged or cut off");
  }

  std::span<const std::byte> image_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
  TreeCollector tree_;
};

}  // namespace

Result<FileTree> read_iso(std::span<const std::byte> image, const TreeLimits& limits,
                          std::stop_token stop) {
  const Utf8Locale locale;
  return Reader(image, limits).read(stop);
}

}  // namespace ingot::imaging
