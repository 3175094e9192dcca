/// Config drives as others make and read them: xorriso, mtools, cloud-init.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "imaging/config_drive/config_drive.hpp"
#include "tests/support/command.hpp"

namespace ingot::test {

using FileMap = std::map<std::string, std::string>;  ///< contents by path

inline imaging::SecretBytes secret(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline void write_text(const std::string& path, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  write_file(path, {bytes.begin(), bytes.end()});
}
inline void write_image(const std::string& path, const imaging::ConfigDrive& drive) {
  write_file(path, {drive.image.begin(), drive.image.end()});
}

/// The regular files below `root`.
inline FileMap files_below(const std::string& root) {
  FileMap files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
    if (entry.is_regular_file() && !entry.is_symlink())
      files[std::filesystem::relative(entry.path(), root).string()] =
          text_of(read_file(entry.path().string()));
  return files;
}

inline void make_tree(const std::string& root, const FileMap& files) {
  for (const auto& [path, content] : files) {
    std::filesystem::create_directories(std::filesystem::path(root + "/" + path).parent_path());
    write_text(root + "/" + path, content);
  }
}

/// An ISO 9660 image as Ironic's conductor makes it, with other options if wanted.
inline std::vector<std::byte> make_iso(const TempDir& dir, const FileMap& files,
                                       const std::string& options = "-R -J -V config-2") {
  const std::string root = dir.path("iso-root"), image = dir.path("made.iso");
  std::filesystem::remove_all(root);
  make_tree(root, files);
  run("xorriso -as mkisofs -quiet " + options + " -o '" + image + "' '" + root + "'");
  return read_file(image);
}

/// What xorriso reads from an ISO 9660 image.
inline FileMap files_of_iso(const TempDir& dir, const imaging::ConfigDrive& drive) {
  const std::string root = dir.path("extracted"), image = dir.path("read.iso");
  write_image(image, drive);
  run("chmod -R u+rwx '" + root + "' 2>/dev/null; rm -rf '" + root + "'");
  run("xorriso -osirrox on -indev '" + image + "' -extract / '" + root + "'");
  run("chmod -R u+rwX '" + root + "'");
  return files_below(root);
}

/// What mtools reads from a FAT image, which fsck.fat must find nothing wrong with.
inline FileMap files_of_fat(const TempDir& dir, const imaging::ConfigDrive& drive) {
  const std::string root = dir.path("extracted-fat"), image = dir.path("read.fat");
  write_image(image, drive);
  run("rm -rf '" + root + "' && mkdir '" + root + "'");
  run("fsck.fat -vn '" + image + "'");
  run("LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1 mcopy -sn -i '" + image + "' ::/ '" + root + "'");
  return files_below(root);
}

/// What libblkid says about an image, e.g. "LABEL".
inline std::string blkid(const TempDir& dir, const imaging::ConfigDrive& drive,
                         const std::string& tag) {
  const std::string image = dir.path("probed.img");
  write_image(image, drive);
  std::string value = run("blkid -p -o value -s " + tag + " '" + image + "'");
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

}  // namespace ingot::test
