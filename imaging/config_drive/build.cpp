// build_config_drive(): OpenStack's layout, as ISO 9660.
#include <fmt/format.h>

#include "imaging/config_drive/config_drive.hpp"
#include "imaging/config_drive/iso_writer.hpp"

namespace ingot::imaging {
namespace {

tl::unexpected<Error> too_large() {
  return fail(Errc::usage_config_drive,
              fmt::format("the config drive: the files are too large for one of {}",
                          format_bytes(kMaxConfigDrive)),
              "let the machine fetch what is large: cloud-init's user data can name a URL");
}

}  // namespace

Result<ConfigDrive> build_config_drive(const ConfigDriveFiles& files) {
  std::vector<IsoFile> tree;
  const auto add = [&tree](const char* name, std::span<const std::byte> content) {
    tree.push_back({std::string("openstack/latest/") + name, content});
  };
  add("meta_data.json", files.meta_data);
  if (files.user_data) add("user_data", *files.user_data);
  if (files.network_data) add("network_data.json", *files.network_data);
  if (files.vendor_data) add("vendor_data.json", *files.vendor_data);
  // Judged before it is built; the image's own blocks decide exactly.
  std::uint64_t total = 0;
  for (const IsoFile& file : tree) total += file.content.size();
  if (total > kMaxConfigDrive) return too_large();
  ConfigDrive drive;
  drive.label = "config-2";
  INGOT_TRY_ASSIGN(drive.image, write_iso(tree, drive.label));
  if (drive.image.size() > kMaxConfigDrive) return too_large();
  return drive;
}

}  // namespace ingot::imaging
