#include "disk/inventory/sysfs_disk.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "disk/core/units.hpp"
#include "disk/inventory/attribute.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSysfsSector = 512;  // sysfs counts in these whatever the device's own is
constexpr std::uint32_t kUsualSector = 512;
constexpr std::uint64_t kLargestSector = 1U << 20;

// Peripheral device types (SPC-5, table 150) by lsblk's names; others are "disk" to it.
constexpr std::array<std::pair<std::uint64_t, std::string_view>, 15> kScsiTypes = {{
    {0x00, "disk"},
    {0x01, "tape"},
    {0x02, "printer"},
    {0x03, "processor"},
    {0x04, "worm"},
    {0x05, "rom"},
    {0x06, "scanner"},
    {0x07, "mo-disk"},
    {0x08, "changer"},
    {0x09, "comm"},
    {0x0c, "raid"},
    {0x0d, "enclosure"},
    {0x0e, "rbc"},
    {0x11, "osd"},
    {0x7f, "no-lun"},
}};

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool has_entry(const fs::path& folder) {
  std::error_code error;
  return fs::directory_iterator(folder, error) != fs::directory_iterator();
}

std::string first_entry(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entry(folder, error);
  return entry == fs::directory_iterator() ? std::string()
                                           : clean_text(entry->path().filename().string());
}

std::string lowered(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// One decimal number at the start of `text`, and the `separator` behind it, taken off.
std::optional<std::uint32_t> take_number(std::string_view& text, char separator) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (separator != '\0') {
    if (!text.starts_with(separator)) return std::nullopt;
    text.remove_prefix(1);
  }
  return number;
}

std::optional<dev_t> number_in(const fs::path& path) {
  const std::string content = read_attribute(path);
  std::string_view text = content;
  const auto high = take_number(text, ':');
  const auto low = high ? take_number(text, '\0') : std::nullopt;
  if (!low || !text.empty()) return std::nullopt;
  return makedev(*high, *low);
}

std::uint32_t sector_in(const fs::path& path) {
  const auto value = read_number(path);
  const bool sound =
      value && *value >= kUsualSector && *value <= kLargestSector && (*value & (*value - 1)) == 0;
  return sound ? static_cast<std::uint32_t>(*value) : kUsualSector;
}

std::string mapper_type(const fs::path& folder) {
  // "LVM-…", "CRYPT-LUKS2-…", "mpath-3600…", "part1-mpath-3600…" (kpartx)
  const std::string uuid = lowered(read_attribute(folder / "dm/uuid"));
  const std::string owner = uuid.substr(0, uuid.find('-'));
  if (owner.starts_with("part")) return "part";
  return owner.empty() ? "dm" : owner;
}

}  // namespace

SysfsDisk::SysfsDisk(fs::path root, std::string kname)
    : root_(std::move(root)), kname_(std::move(kname)), folder_(root_ / "block" / kname_) {}

std::optional<Disk> SysfsDisk::read(const fs::path& dev) const {
  const auto number = number_in(folder_ / "dev");
  if (!number || read_flag(folder_ / "hidden")) return std::nullopt;
  Disk disk;
  disk.number = *number;
  disk.kname = kname_;
  std::ranges::replace(disk.kname, '!', '/');  // sysfs cannot have "cciss/c0d0" as a name
  disk.name = (dev / disk.kname).string();
  disk.sequence = read_number(folder_ / "diskseq").value_or(0);
  disk.size = checked_mul(read_number(folder_ / "size").value_or(0), kSysfsSector).value_or(0);
  disk.type = type();
  disk.vendor = read_attribute(folder_ / "device/vendor");
  if (!is_stacked()) {
    disk.model = read_attribute(folder_ / "device/model");
    disk.serial = read_attribute(folder_ / "device/serial");
  }
  disk.hctl = first_entry(folder_ / "device/scsi_device");
  disk.rotational = read_flag(folder_ / "queue/rotational");
  disk.removable = read_flag(folder_ / "removable");
  disk.read_only = read_flag(folder_ / "ro");
  disk.logical_sector = sector_in(folder_ / "queue/logical_block_size");
  disk.physical_sector =
      std::max(disk.logical_sector, sector_in(folder_ / "queue/physical_block_size"));
  disk.transport = transport();
  return disk;
}

std::string SysfsDisk::type() const {
  if (is_partition()) return "part";
  if (kname_.starts_with("dm-")) return mapper_type(folder_);
  if (kname_.starts_with("loop")) return "loop";
  if (kname_.starts_with("md")) {
    const std::string level = lowered(read_attribute(folder_ / "md/level"));
    return level.empty() ? "md" : level;
  }
  const auto code = read_number(folder_ / "device/type");
  const auto* const known = std::ranges::find(kScsiTypes, code.value_or(0),
                                              &std::pair<std::uint64_t, std::string_view>::first);
  return std::string(known == kScsiTypes.end() ? "disk" : known->second);
}

std::optional<SysfsDisk::ScsiAddress> SysfsDisk::scsi_address() const {
  std::error_code error;
  const std::string name = fs::read_symlink(folder_ / "device", error).filename().string();
  std::string_view text = name;
  const auto host = take_number(text, ':');
  if (error || !host || !take_number(text, ':') || !take_number(text, ':') ||
      !take_number(text, '\0'))
    return std::nullopt;
  return ScsiAddress{*host, name};
}

// In lsblk's order, which matters: SATA behind a SAS controller is sas.
std::string SysfsDisk::scsi_transport(const ScsiAddress& address) const {
  const auto host_folder = [this, &address](std::string_view kind) {
    return root_ / "class" / fmt::format("{}_host", kind) / fmt::format("host{}", address.host);
  };
  const fs::path device = root_ / "bus/scsi/devices" / address.text;
  std::error_code error;
  if (is_there(host_folder("spi"))) return "spi";
  if (const fs::path fibre = host_folder("fc"); is_there(fibre)) {
    const std::string name = read_attribute(fibre / "symbolic_name");
    if (name.empty()) return "";
    return name.find(" over ") == std::string::npos ? "fc" : "fcoe";
  }
  if (is_there(host_folder("sas")) || is_there(device / "sas_device")) return "sas";
  if (is_there(device / "ieee1394_id")) return "sbp";
  if (is_there(host_folder("iscsi"))) return "iscsi";
  if (fs::read_symlink(device, error).string().find("usb") != std::string::npos) return "usb";
  const std::string driver = read_attribute(host_folder("scsi") / "proc_name");
  if (driver.starts_with("ahci") || driver.starts_with("sata")) return "sata";
  return driver.find("ata") == std::string::npos ? "" : "ata";
}

std::string SysfsDisk::transport() const {
  if (const auto address = scsi_address()) {
    std::string found = scsi_transport(*address);
    if (!found.empty()) return found;
  }
  if (kname_.starts_with("nvme")) return "nvme";
  if (kname_.starts_with("vd")) return "virtio";
  if (kname_.starts_with("mmcblk")) return "mmc";
  return "";
}

bool SysfsDisk::is_stacked() const {
  return has_entry(folder_ / "slaves");
}

bool SysfsDisk::is_multipath_member() const {
  std::error_code error;
  for (fs::directory_iterator it(folder_ / "holders", error), end; !error && it != end;
       it.increment(error))
    if (SysfsDisk(root_, it->path().filename().string()).type() == "mpath") return true;
  return false;
}

bool SysfsDisk::is_partition() const {
  return is_there(folder_ / "partition");
}

std::string SysfsDisk::virtio_serial() const {
  return read_attribute(folder_ / "serial");
}

std::string SysfsDisk::wwid() const {
  std::string found = read_attribute(folder_ / "wwid");  // NVMe
  return found.empty() ? read_attribute(folder_ / "device/wwid") : found;
}

}  // namespace ingot::disk
