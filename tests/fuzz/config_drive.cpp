// Fuzz target: anything as a config drive, and the files of an ISO 9660 image, whose first 32 KiB
// say nothing and are not part of the input.
#include "imaging/config_drive/config_drive.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <cstdlib>
#include <string_view>

#include "imaging/config_drive/tree_readers.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

constexpr std::size_t kSystemArea = 32 * 1024;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  std::vector<std::byte> image(kSystemArea);
  image.insert(image.end(), bytes.begin(), bytes.end());
  for (const auto& drive : {imaging::open_config_drive(bytes), imaging::open_config_drive(image)})
    if (drive && (drive->image.empty() || drive->image.size() > imaging::kMaxConfigDrive))
      std::abort();
  const imaging::TreeLimits limits{.entries = 100, .depth = 6, .content = MiB};
  const auto tree = imaging::read_iso(image, limits, {});
  if (!tree) return 0;
  std::uint64_t content = 0;
  for (const auto& entry : *tree) {
    content += entry.content.size();
    if (entry.path.empty() || entry.path.front() == '/' ||
        ("/" + entry.path + "/").find("/../") != std::string::npos)
      std::abort();
  }
  if (tree->size() > limits.entries || content > limits.content) std::abort();
  return 0;
}

namespace {

// An ISO 9660 image of one file, without its first 32 KiB.
fuzz::Input make_iso(const char* path, std::string_view content) {
  fuzz::Input image(4 * MiB);
  std::size_t used = 0;
  archive* const writer = archive_write_new();
  archive_entry* const entry = archive_entry_new();
  archive_entry_set_pathname(entry, path);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0600);
  archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
  if (archive_write_set_format_iso9660(writer) != ARCHIVE_OK ||
      archive_write_open_memory(writer, image.data(), image.size(), &used) != ARCHIVE_OK ||
      archive_write_header(writer, entry) != ARCHIVE_OK ||
      archive_write_data(writer, content.data(), content.size()) < 0 ||
      archive_write_close(writer) != ARCHIVE_OK || used < kSystemArea)
    std::abort();
  archive_entry_free(entry);
  archive_write_free(writer);
  return {image.begin() + kSystemArea, image.begin() + static_cast<std::ptrdiff_t>(used)};
}

}  // namespace

std::vector<fuzz::Input> fuzz::seeds() {
  const Input iso = make_iso("openstack/latest/user_data", "#!/bin/sh\n");
  const std::string_view text = "H4sIAAAAAAAAA3NLzMlMVSguKcrMSwcAh8xsTAwAAAA=";
  return {iso, Input(text.begin(), text.end())};
}
