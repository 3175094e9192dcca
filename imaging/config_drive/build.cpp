// build_config_drive(): OpenStack's layout, as FAT.
#include <utility>

#include "imaging/config_drive/config_drive.hpp"
#include "imaging/config_drive/fat_writer.hpp"

namespace ingot::imaging {

Result<ConfigDrive> build_config_drive(ConfigDriveFiles files, std::stop_token stop) {
  FileTree tree;
  tree.push_back({.path = "openstack", .directory = true, .content = {}});
  tree.push_back({.path = "openstack/latest", .directory = true, .content = {}});
  const auto add = [&tree](const char* name, SecretBytes&& content) {
    tree.push_back({.path = std::string("openstack/latest/") + name,
                    .directory = false,
                    .content = std::move(content)});
  };
  add("meta_data.json", std::move(files.meta_data));
  if (files.user_data) add("user_data", *std::move(files.user_data));
  if (files.network_data) add("network_data.json", *std::move(files.network_data));
  if (files.vendor_data) add("vendor_data.json", *std::move(files.vendor_data));
  // Sectors of 512 bytes, which every reader of FAT knows.
  return write_fat(tree, {"config-2", 512, kMaxConfigDrive}, stop);
}

}  // namespace ingot::imaging
