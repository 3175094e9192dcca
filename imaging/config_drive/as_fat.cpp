// as_fat(): the files of a config drive into a FAT file system.
#include "imaging/config_drive/config_drive.hpp"
#include "imaging/config_drive/fat_writer.hpp"
#include "imaging/config_drive/tree_readers.hpp"

namespace ingot::imaging {

Result<ConfigDrive> as_fat(const ConfigDrive& drive, std::uint32_t sector_size,
                           std::uint64_t size_limit, std::stop_token stop) {
  const TreeLimits limits{.content = kMaxConfigDrive};
  INGOT_TRY_ASSIGN(const FileTree tree, drive.kind == ConfigDrive::Kind::fat
                                            ? read_fat(drive.image, limits, stop)
                                            : read_iso(drive.image, limits, stop));
  return write_fat(tree, {"CONFIG-2", sector_size, size_limit}, stop);
}

}  // namespace ingot::imaging
