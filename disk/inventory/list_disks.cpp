#include "disk/inventory/list_disks.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>

#include "disk/inventory/attribute.hpp"
#include "disk/inventory/device_links.hpp"
#include "disk/inventory/sysfs_disk.hpp"
#include "disk/inventory/table_probe.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;

// What Ironic's agent takes for a disk, less nbd: a network block device is somebody's choice.
bool is_candidate(const SysfsDisk& sysfs, const Disk& disk) {
  for (const char* prefix : {"fd", "ram", "zram", "nbd"})
    if (disk.kname.starts_with(prefix)) return false;
  const bool fits =
      disk.type == "disk" || disk.type == "mpath" || disk.type.find("raid") != std::string::npos;
  return fits && disk.size > 0 && !sysfs.is_multipath_member();
}

std::string first_of(const UdevProperties& udev, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys)
    if (const std::string& value = udev.value(key); !value.empty()) return value;
  return {};
}

// What udev's rules would have read from sysfs, where no udev is running. A SCSI disk's NAA of 32
// digits is its number and the vendor's extension of it.
void add_wwid(Disk& disk, const std::string& wwid) {
  constexpr std::string_view kNaa = "naa.";
  constexpr std::size_t kNumber = 16;
  if (!wwid.starts_with(kNaa)) {
    if (disk.transport == "nvme") disk.wwn = disk.udev_wwn = wwid;
    return;
  }
  const std::string digits = wwid.substr(kNaa.size());
  disk.udev_wwn = "0x" + digits.substr(0, kNumber);
  disk.wwn_with_extension = disk.wwn = "0x" + digits;
  if (digits.size() > kNumber) disk.wwn_vendor_extension = "0x" + digits.substr(kNumber);
}

void add_udev(Disk& disk, const UdevProperties& udev, bool stacked) {
  const auto clean = [&udev](std::string_view key) { return clean_text(udev.id_or_dm(key)); };
  disk.udev_serial_short = clean("SERIAL_SHORT");
  disk.udev_serial = clean("SERIAL");
  disk.udev_wwn = clean("WWN");
  disk.wwn_with_extension = clean("WWN_WITH_EXTENSION");
  disk.wwn_vendor_extension = clean("WWN_VENDOR_EXTENSION");
  disk.wwn = clean_text(first_of(udev, {"ID_WWN_WITH_EXTENSION", "ID_WWN"}));
  if (stacked) return;  // lsblk shows no model and serial number of such
  const std::string model = first_of(udev, {"ID_MODEL_ENC"});
  const std::string text = model.empty() ? udev.value("ID_MODEL") : decode_escapes(model);
  if (!text.empty()) disk.model = clean_text(collapse_blanks(text));
  const std::string serial =
      first_of(udev, {"SCSI_IDENT_SERIAL", "ID_SCSI_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"});
  if (!serial.empty()) disk.serial = clean_text(collapse_blanks(serial));
}

void add_links(Disk& disk, const UdevProperties& udev, const fs::path& dev) {
  DeviceLinks links = links_to(disk.name, dev, udev);
  disk.by_id = std::move(links.by_id);
  disk.by_path_links = std::move(links.by_path);
  if (disk.by_path_links.empty()) return;
  // Older links may exist besides the one that udev's own rules call the path.
  const std::string path = (dev / "disk/by-path" / udev.value("ID_PATH")).string();
  const auto own = std::ranges::find(disk.by_path_links, path);
  disk.by_path = own == disk.by_path_links.end() ? disk.by_path_links.front() : *own;
}

// Everything else but the table, which all disks are asked for together.
void complete(Disk& disk, const SysfsDisk& sysfs, const InventoryOptions& options) {
  const UdevProperties udev = options.udev(disk.number);
  add_udev(disk, udev, sysfs.is_stacked());
  if (!udev.known) {
    if (disk.wwn.empty() && disk.udev_wwn.empty()) add_wwid(disk, sysfs.wwid());
    if (disk.serial.empty()) disk.serial = sysfs.virtio_serial();
  }
  add_links(disk, udev, options.dev);
}

void add_contents(std::vector<Disk>& disks, const InventoryOptions& options) {
  std::vector<ProbeTarget> targets;
  for (const Disk& disk : disks) targets.push_back({disk.name, disk.number});
  auto probes = probe_tables(targets, options.patience);
  for (std::size_t i = 0; i < disks.size(); ++i) {
    disks[i].table = std::move(probes[i].table);
    disks[i].table_id = std::move(probes[i].id);
    for (Use& use : options.uses(disks[i].number)) {
      disks[i].running_system = disks[i].running_system || use.running_system;
      disks[i].users.push_back(clean_text(use.text));
    }
  }
}

// As lsblk sorts: by the number's one value, in which a minor number over 255 counts for more than
// the major number does.
void sort_as_lsblk(std::vector<Disk>& disks) {
  std::ranges::stable_sort(disks, {}, &Disk::number);
}

Result<dev_t> number_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return tl::unexpected(system_error(Errc::device_missing, "looking for " + path, errno,
                                       "`ingot devices` lists the disks that there are"));
  if (!S_ISBLK(info.st_mode))
    return fail(Errc::device_unsuitable, path + " is not a block device",
                "name a disk, such as /dev/sda");
  return info.st_rdev;
}

Result<Disk> look_at(dev_t device, const std::string& shown, const InventoryOptions& options) {
  std::error_code error;
  const fs::path folder = fs::canonical(
      options.sysfs / "dev/block" / fmt::format("{}:{}", major(device), minor(device)), error);
  if (error)
    return tl::unexpected(system_error(Errc::device_missing,
                                       fmt::format("looking for {} in sysfs", shown), error.value(),
                                       "`ingot devices` lists the disks that there are"));
  const std::string kname = folder.filename().string();
  if (fs::exists(folder / "partition", error)) {
    const std::string parent = folder.parent_path().filename().string();
    return fail(Errc::device_unsuitable,
                fmt::format("{} is a partition of {}", shown, (options.dev / parent).string()),
                "name the whole disk");
  }
  const SysfsDisk sysfs(options.sysfs, kname);
  auto disk = sysfs.read(options.dev);
  if (!disk || disk->number != device)
    return fail(Errc::device_missing, shown + " has gone, or the kernel hides it",
                "`ingot devices` lists the disks that there are");
  if (disk->size == 0)
    return fail(Errc::device_unsuitable, shown + " has no size: there is no medium in it",
                "attach a medium, or name another disk");
  complete(*disk, sysfs, options);
  return *std::move(disk);
}

Result<Disk> describe(dev_t device, const std::string& shown, const InventoryOptions& options) {
  INGOT_TRY_ASSIGN(auto disk, look_at(device, shown, options));
  std::vector<Disk> one{std::move(disk)};
  add_contents(one, options);
  return std::move(one.front());
}

Result<std::vector<Disk>> named_disks(const InventoryOptions& options) {
  std::vector<Disk> disks;
  for (const std::string& path : options.only) {
    INGOT_TRY_ASSIGN(const dev_t number, number_of(path));
    if (std::ranges::find(disks, number, &Disk::number) != disks.end()) continue;
    INGOT_TRY_ASSIGN(auto disk, look_at(number, path, options));
    disks.push_back(std::move(disk));
  }
  return disks;
}

Result<std::vector<Disk>> all_disks(const InventoryOptions& options) {
  std::vector<Disk> disks;
  std::error_code error;
  fs::directory_iterator entry(options.sysfs / "block", error), end;
  if (error)
    return tl::unexpected(system_error(Errc::device_missing,
                                       "listing " + (options.sysfs / "block").string(),
                                       error.value(), "mount sysfs on /sys"));
  for (; !error && entry != end; entry.increment(error)) {
    const SysfsDisk sysfs(options.sysfs, entry->path().filename().string());
    auto disk = sysfs.read(options.dev);
    if (!disk || !is_candidate(sysfs, *disk)) continue;
    complete(*disk, sysfs, options);
    disks.push_back(*std::move(disk));
  }
  return disks;
}

}  // namespace

Result<std::vector<Disk>> list_disks(const InventoryOptions& options) {
  INGOT_TRY_ASSIGN(auto disks, options.only.empty() ? all_disks(options) : named_disks(options));
  sort_as_lsblk(disks);
  add_contents(disks, options);
  return disks;
}

Result<Disk> describe_disk(const std::string& path, const InventoryOptions& options) {
  INGOT_TRY_ASSIGN(const dev_t number, number_of(path));
  return describe(number, path, options);
}

Result<Disk> describe_disk(dev_t device, const InventoryOptions& options) {
  return describe(device, fmt::format("device {}:{}", major(device), minor(device)), options);
}

}  // namespace ingot::disk
