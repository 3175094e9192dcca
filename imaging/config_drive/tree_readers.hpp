/// The files of a config drive that came from elsewhere.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <utility>

#include "disk/core/error.hpp"
#include "imaging/config_drive/file_tree.hpp"

namespace ingot::imaging {

/// The files and directories of an ISO 9660 image (by libarchive: with the names of Rock Ridge,
/// else of Joliet), or of a FAT12, FAT16 or FAT32 one (with long names). Links and special files
/// are left out; hard links are files of their own.
///
/// The image is hostile: nothing is followed that leads outside it or in a circle, and what comes
/// out stays within `limits`.
/// Errors: usage.config-drive (damaged, cut off, more than the limits, names that are none),
/// cancelled. Messages hold no name and no content.
Result<FileTree> read_iso(std::span<const std::byte> image, const TreeLimits& limits,
                          std::stop_token stop);
Result<FileTree> read_fat(std::span<const std::byte> image, const TreeLimits& limits,
                          std::stop_token stop);

/// The paths in the FAT image that `fd` is, directories with a '/' at the end. Errors: as above.
Result<std::vector<std::string>> list_fat(int fd, std::stop_token stop);

/// Collects what a reader finds and holds it to the limits and rules of a FileTree.
class TreeCollector {
 public:
  explicit TreeCollector(const TreeLimits& limits) : limits_(limits) {}
  /// Whether a file of `size` bytes may still come: before its content is read.
  [[nodiscard]] Result<void> reserve(std::uint64_t size);
  /// Takes the next entry. Its directory must be there.
  [[nodiscard]] Result<void> add(TreeEntry entry);
  /// What has been added as `path`, or null. Valid until the next add().
  [[nodiscard]] const TreeEntry* find(const std::string& path) const;
  [[nodiscard]] FileTree take() { return std::move(tree_); }

 private:
  const TreeLimits& limits_;
  FileTree tree_;
  std::map<std::string, std::size_t> places_;  // in `tree_`, by path
  std::uint64_t content_ = 0;
};

/// The one way these readers refuse: "reading the config drive's files: <why>".
tl::unexpected<Error> refuse_tree(const std::string& why);

}  // namespace ingot::imaging
