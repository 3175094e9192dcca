/// FileTree: the files below one directory, of which nothing leads out.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::disk {

/// Reads the file system of an image. Every path is taken as seen by a system that has the
/// directory as its root: "/vmlinuz" -> "boot/vmlinuz-6.1" is found, "../../etc/shadow" stays
/// inside. Nothing is ever written. Source: openat2(2), RESOLVE_IN_ROOT.
class FileTree {
 public:
  /// `root`: the directory, open; O_PATH suffices. `name` is for messages: "/dev/sda, partition 1".
  FileTree(UniqueFd root, std::string name) : root_(std::move(root)), name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  enum class Kind { none, file, directory };
  /// What is at `path`, symbolic links followed. Devices, FIFOs and sockets are `none`.
  [[nodiscard]] Kind kind(const std::string& path) const;
  /// A regular file, for reading. Errors: image.unsupported: there is none, or it cannot be read.
  [[nodiscard]] Result<UniqueFd> open(const std::string& path) const;
  /// All of a regular file. Errors: as open(); it has more than `limit` bytes.
  [[nodiscard]] Result<std::string> read(const std::string& path, std::size_t limit) const;
  /// Names in a directory, sorted, without those that begin with a dot; empty where there is none.
  /// Errors: image.unsupported: more than `limit` names.
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path,
                                                      std::size_t limit) const;

 private:
  [[nodiscard]] UniqueFd resolve(const std::string& path, int flags) const;

  UniqueFd root_;
  std::string name_;
};

}  // namespace ingot::disk
