/// RunningSystem: the file systems without which the system that runs us would fall over.
#pragma once

#include <sys/types.h>

#include <set>
#include <vector>

#include "disk/loop_table.hpp"
#include "disk/mount_table.hpp"

namespace ingot::disk {

struct RunningSystem {
  /// Numbers of the file systems with /, /usr, /boot, /boot/efi, /efi, /var, /etc (of process 1's
  /// namespace as well) and of this program's own. Where / is in memory only /, /usr and this
  /// program's count: the rest was mounted by somebody who looks at a disk.
  std::set<dev_t> file_systems;
  bool in_memory = false;  ///< the root is a tmpfs, an initramfs, or an overlay on such alone
  /// False if no device was found that one of them is on (ZFS, or an overlay whose layers are out
  /// of sight): a disk that something unknown holds may then be it.
  bool located = true;
};

RunningSystem find_running_system(const MountTable& mounts, const std::vector<LoopEntry>& loops);

}  // namespace ingot::disk
