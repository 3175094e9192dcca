/// A sysfs tree of a test's own, for hardware that the test's machine has not, and lsblk's reading
/// of it (or of the machine itself).
#pragma once

#include <sys/sysmacros.h>
#include <sys/types.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "disk/inventory/udev_properties.hpp"
#include "tests/support/command.hpp"

namespace ingot::test {

/// <dir>/sys with block devices, <dir>/dev with links but no nodes, and udev's properties. Laid out
/// so that `lsblk --sysroot` reads it as well: it takes properties from the file <dir>/dev/<name>.
class SysfsTree {
 public:
  using Attributes = std::map<std::string, std::string>;
  /// In the order in which lsblk is to take them: of two that it knows for one column, the first.
  using Properties = std::vector<std::pair<std::string, std::string>>;

  SysfsTree() {
    std::filesystem::create_directories(root() + "/sys/block");
    std::filesystem::create_directories(root() + "/sys/dev/block");
    std::filesystem::create_directories(root() + "/dev");
  }

  [[nodiscard]] std::string root() const { return dir_.path("root"); }
  [[nodiscard]] std::string sys(const std::string& path) const { return root() + "/sys/" + path; }

  /// A whole block device with what every one has; `attributes` add to that or replace it.
  void block(const std::string& kname, unsigned major, unsigned minor,
             const Attributes& attributes) {
    const std::string folder = "block/" + kname;
    const std::string number = std::to_string(major) + ":" + std::to_string(minor);
    Attributes all = {{"dev", number},
                      {"size", "1953525168"},
                      {"ro", "0"},
                      {"removable", "0"},
                      {"hidden", "0"},
                      {"queue/rotational", "0"},
                      {"queue/logical_block_size", "512"},
                      {"queue/physical_block_size", "512"}};
    for (const auto& [name, value] : attributes) all[name] = value;
    for (const auto& [name, value] : all) write(folder + "/" + name, value + "\n");
    std::filesystem::create_directories(sys(folder + "/slaves"));
    std::filesystem::create_directories(sys(folder + "/holders"));
    link("dev/block/" + number, "../../" + folder);
  }

  /// The device behind a disk: `place` is its path below /sys/devices, `attributes` are the
  /// device's own (model, vendor, …). For "…/2:0:0:0" it is a SCSI device with its folders.
  void device(const std::string& kname, const std::string& place, const Attributes& attributes) {
    const std::string folder = "devices/" + place;
    std::filesystem::create_directories(sys(folder));
    for (const auto& [name, value] : attributes) write(folder + "/" + name, value + "\n");
    link("block/" + kname + "/device", "../../" + folder);
    const std::string name = std::filesystem::path(place).filename().string();
    if (std::count(name.begin(), name.end(), ':') != 3) return;
    std::filesystem::create_directories(sys(folder + "/scsi_device/" + name));
    link("bus/scsi/devices/" + name, "../../../" + folder);
  }

  /// A SCSI host's folder of a kind: "sas", "iscsi", "scsi" (with the driver's proc_name), ….
  void host(const std::string& kind, unsigned number, const Attributes& attributes = {}) {
    const std::string folder = "class/" + kind + "_host/host" + std::to_string(number);
    std::filesystem::create_directories(sys(folder));
    for (const auto& [name, value] : attributes) write(folder + "/" + name, value + "\n");
  }

  /// `upper` (dm-0, md0) stands on `lower`, a disk, or "sda/sda1", a partition of one.
  void stack(const std::string& upper, const std::string& lower) {
    const std::string name = std::filesystem::path(lower).filename().string();
    link("block/" + upper + "/slaves/" + name, "../../../block/" + lower);
    link("block/" + lower + "/holders/" + upper,
         (lower == name ? "../../../block/" : "../../../../block/") + upper);
  }

  void partition(const std::string& disk, const std::string& name, unsigned major, unsigned minor) {
    const std::string folder = "block/" + disk + "/" + name;
    const std::string number = std::to_string(major) + ":" + std::to_string(minor);
    write(folder + "/partition", "1\n");
    write(folder + "/dev", number + "\n");
    write(folder + "/size", "2048\n");
    write(folder + "/start", "2048\n");
    std::filesystem::create_directories(sys(folder + "/holders"));
    link("dev/block/" + number, "../../" + folder);
  }

  /// udev's entry for a device; `node` is its name for lsblk ("mapper/mpatha", else the kernel's).
  void udev(unsigned major, unsigned minor, const std::string& node, const Properties& properties,
            const std::vector<std::string>& links = {}) {
    std::string file;
    auto& entry = udev_[makedev(major, minor)];
    entry.known = true;
    for (const auto& [key, value] : properties) {
      entry.values.emplace(key, value);
      file += key + "=" + value + "\n";
    }
    for (const auto& link : links) entry.links.push_back(root() + "/dev/" + link);
    const std::string path = root() + "/dev/" + node;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << file;
  }

  /// A link under <dir>/dev ("disk/by-id/x") to a node ("sda").
  void dev_link(const std::string& name, const std::string& node) {
    const std::filesystem::path path = root() + "/dev/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::create_symlink("../../" + node, path);
  }

  [[nodiscard]] disk::UdevProperties udev_of(dev_t device) const {
    const auto found = udev_.find(device);
    return found == udev_.end() ? disk::UdevProperties{} : found->second;
  }

  void write(const std::string& path, const std::string& content) {
    const std::filesystem::path file = sys(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }

 private:
  void link(const std::string& path, const std::string& target) {
    const std::filesystem::path file = sys(path);
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink(target, file);
  }

  TempDir dir_;
  std::map<dev_t, disk::UdevProperties> udev_;
};

/// One line of lsblk: column (lower case) and text, "" for null.
using LsblkLine = std::map<std::string, std::string>;

/// What lsblk lists with the options that Ironic's agent gives it (and some columns more).
/// `arguments`: devices, or --sysroot.
inline std::vector<LsblkLine> lsblk(const std::string& arguments = "") {
  const std::string text = run(
      "lsblk -bia --json "
      "-o KNAME,MODEL,SIZE,ROTA,TYPE,SERIAL,WWN,LOG-SEC,PHY-SEC,TRAN,VENDOR,HCTL,RM,RO,MAJ:MIN " +
      arguments +
      " | python3 -c 'import json, sys\n"
      "for device in json.load(sys.stdin)[\"blockdevices\"]:\n"
      "    text = lambda v: \"\" if v is None else str(v).strip()\n"
      "    print(chr(31).join(k + chr(30) + text(v) for k, v in device.items()))'");
  std::vector<LsblkLine> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) {
    std::istringstream fields(line);
    LsblkLine parsed;
    for (std::string field; std::getline(fields, field, '\x1f');) {
      const auto at = field.find('\x1e');
      parsed[field.substr(0, at)] = field.substr(at + 1);
    }
    lines.push_back(std::move(parsed));
  }
  return lines;
}

}  // namespace ingot::test
