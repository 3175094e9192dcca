#include "imaging/config_drive/iso_writer.hpp"

#include <fmt/format.h>
#include <stdint.h>  // libisofs.h needs it before itself
#include <string.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

// libburn's burn_source as libisofs copies it: libburn itself is not needed.
#define LIBISOFS_WITHOUT_LIBBURN
#include <libisofs/libisofs.h>

namespace ingot::imaging {
namespace {

constexpr std::time_t k1980 = 315'532'800;
constexpr int kKeepLocale = 1, kRoot = 0, kReplace = 2;
constexpr mode_t kFileMode = 0400, kDirectoryMode = 0500;
constexpr std::size_t kPiece = 2048;  // what a burn_source is read by: one sector

tl::unexpected<Error> failed(const char* what, int status) {
  return fail(Errc::internal_bug,
              fmt::format("making an ISO 9660 image: {}: {}", what, iso_error_to_msg(status)));
}

struct ImageDeleter {
  void operator()(IsoImage* image) const noexcept { iso_image_unref(image); }
};
struct OptionsDeleter {
  void operator()(IsoWriteOpts* options) const noexcept { iso_write_opts_free(options); }
};
// Waits for libisofs's thread.
struct SourceDeleter {
  void operator()(burn_source* source) const noexcept {
    source->free_data(source);
    std::free(source);
  }
};

class Writer {
 public:
  ~Writer() {
    // The streams free their buffers with the image, but do not overwrite them.
    for (const auto& [buffer, size] : buffers_) ::explicit_bzero(buffer, size);
  }

  Result<void> open(const std::string& label) {
    // Without the flag it would change the locale of the whole program, by the environment.
    static const int once = iso_init_with_flag(kKeepLocale);
    if (once < 0) return failed("libisofs", once);
    IsoImage* image = nullptr;
    if (const int status = iso_image_new(label.c_str(), &image); status < 0)
      return failed("an image", status);
    image_.reset(image);
    iso_image_set_volume_id(image, label.c_str());
    return {};
  }

  Result<void> add(const IsoFile& file) {
    INGOT_TRY_ASSIGN(IsoDir * directory, directory_of(file.path));
    // libisofs wants memory of malloc's and takes it over; it takes no empty buffer.
    auto* const buffer = static_cast<unsigned char*>(std::malloc(file.content.size() + 1));
    if (buffer == nullptr) return fail(Errc::internal_bug, "no memory for an ISO 9660 image");
    std::ranges::copy(file.content, reinterpret_cast<std::byte*>(buffer));
    IsoStream* stream = nullptr;
    if (const int status = iso_memory_stream_new(buffer, file.content.size(), &stream);
        status < 0) {
      ::explicit_bzero(buffer, file.content.size());
      std::free(buffer);
      return failed("a stream", status);
    }
    LibraryFile* node = nullptr;
    const std::string name = file.path.substr(file.path.rfind('/') + 1);
    if (const int status = iso_tree_add_new_file(directory, name.c_str(), stream, &node);
        status < 0) {
      ::explicit_bzero(buffer, file.content.size());
      iso_stream_unref(stream);
      return failed("a file", status);
    }
    buffers_.emplace_back(buffer, file.content.size());
    return {};
  }

  Result<SecretBytes> write() {
    IsoWriteOpts* made = nullptr;
    if (const int status = iso_write_opts_new(&made, 0); status < 0)
      return failed("options", status);
    const std::unique_ptr<IsoWriteOpts, OptionsDeleter> options(made);
    char uuid[] = "1980010100000000";  // the volume's times
    iso_write_opts_set_iso_level(made, 3);
    iso_write_opts_set_rockridge(made, 1);
    iso_write_opts_set_joliet(made, 1);
    iso_write_opts_set_relaxed_vol_atts(made, 1);   // "config-2", not "CONFIG_2"
    iso_write_opts_set_rrip_version_1_10(made, 1);  // later ones carry a counter of libisofs's
    iso_write_opts_set_pvd_times(made, k1980, k1980, 0, 0, uuid);
    iso_write_opts_set_replace_timestamps(made, kReplace);
    iso_write_opts_set_default_timestamp(made, k1980);
    iso_write_opts_set_dir_rec_mtime(made, 7);  // those of Joliet's records as well
    iso_write_opts_set_always_gmt(made, 1);
    iso_write_opts_set_replace_mode(made, kReplace, kReplace, kReplace, kReplace);
    iso_write_opts_set_default_dir_mode(made, kDirectoryMode);
    iso_write_opts_set_default_file_mode(made, kFileMode);
    iso_write_opts_set_default_uid(made, kRoot);
    iso_write_opts_set_default_gid(made, kRoot);

    burn_source* stream = nullptr;
    if (const int status = iso_image_create_burn_source(image_.get(), made, &stream); status < 0)
      return failed("writing", status);
    const std::unique_ptr<burn_source, SourceDeleter> source(stream);
    SecretBytes bytes(static_cast<std::size_t>(source->get_size(stream)));
    std::size_t size = 0;
    for (; size + kPiece <= bytes.size(); size += kPiece)
      if (source->read_xt(stream, reinterpret_cast<unsigned char*>(bytes.data()) + size, kPiece) !=
          static_cast<int>(kPiece))
        return fail(Errc::internal_bug, "making an ISO 9660 image: it ended too early");
    return bytes;
  }

 private:
  using LibraryFile = ::IsoFile;

  Result<IsoDir*> directory_of(const std::string& path) {
    IsoDir* directory = iso_image_get_root(image_.get());
    std::size_t at = 0;
    for (std::size_t slash; (slash = path.find('/', at)) != std::string::npos; at = slash + 1) {
      const std::string name = path.substr(at, slash - at);
      IsoNode* there = nullptr;
      if (iso_dir_get_node(directory, name.c_str(), &there) == 1) {
        directory = reinterpret_cast<IsoDir*>(there);
        continue;
      }
      IsoDir* below = nullptr;
      if (const int status = iso_tree_add_new_dir(directory, name.c_str(), &below); status < 0)
        return failed("a directory", status);
      directory = below;
    }
    return directory;
  }

  std::unique_ptr<IsoImage, ImageDeleter> image_;
  std::vector<std::pair<unsigned char*, std::size_t>> buffers_;  // image_'s
};

}  // namespace

Result<SecretBytes> write_iso(std::span<const IsoFile> files, const std::string& label) {
  Writer writer;
  INGOT_TRY(writer.open(label));
  for (const IsoFile& file : files) INGOT_TRY(writer.add(file));
  return writer.write();
}

}  // namespace ingot::imaging
