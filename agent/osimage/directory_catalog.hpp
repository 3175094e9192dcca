/// A catalog that is a directory of manifests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/osimage/catalog.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Reads every *.yaml, *.yml and *.json file of `directory` (not below it; names that begin with a
/// dot are passed over, as are editors' backups), in the order of their names. OSImages and SSHKeys
/// are taken; other kinds are passed over.
///
/// Errors: usage.manifest: a file that cannot be read or is refused, two objects of one kind and
/// name (both places are named), no directory.
Result<std::unique_ptr<Catalog>> open_directory_catalog(const std::string& directory,
                                                        const OnWarning& on_warning);

/// Tells whether a directory's manifests changed since it was last asked, for who runs for long.
class DirectoryWatch {
 public:
  virtual ~DirectoryWatch() = default;
  /// Does not wait. To be asked from time to time, by one thread.
  virtual bool changed() = 0;
  /// Whether a program of this host is in the middle of writing one of them, as far as the kernel's
  /// notifications tell: half of a manifest may be a good one. As of now; does not change what
  /// changed() will say.
  virtual bool being_written() = 0;
};

/// What a watch goes by. The kernel's notifications (inotify(7)) tell of changes that leave times
/// and sizes as they are; comparing the files' times, sizes and inodes tells of those that the
/// kernel hears nothing of (network file systems, files that are links) and needs nothing.
enum class WatchBy { notifications_and_comparison, comparison };

/// Make it before the directory is read, or a change in between is missed. Without notifications
/// (none left, no such directory yet) it compares.
std::unique_ptr<DirectoryWatch> watch_directory(const std::string& directory,
                                                WatchBy by = WatchBy::notifications_and_comparison);

}  // namespace ingot::agent
