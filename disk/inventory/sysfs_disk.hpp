/// What sysfs says of one block device, in the terms of lsblk, which Ironic's agent asks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "disk/inventory/disk.hpp"

namespace ingot::disk {

/// A block device's folder in a sysfs tree ("/sys"). Nothing is kept open; what has gone meanwhile
/// reads as missing. Source: Documentation/ABI/stable/sysfs-block, scsi's and nvme's folders.
class SysfsDisk {
 public:
  /// `kname` is the folder's name ("sda", "cciss!c0d0").
  SysfsDisk(std::filesystem::path root, std::string kname);

  /// Number, sequence, size, sectors, flags, type, vendor, hctl and transport; model and serial as
  /// far as sysfs has them. Nothing if the device has no number: it is gone, or hidden (a path of
  /// an NVMe disk that has several).
  [[nodiscard]] std::optional<Disk> read(const std::filesystem::path& dev) const;

  /// lsblk's TYPE: disk, loop, rom, raid1, part, lvm, crypt, mpath, …
  [[nodiscard]] std::string type() const;
  /// lsblk's TRAN: nvme, sata, sas, usb, virtio, …; "" if it is none of those it knows.
  [[nodiscard]] std::string transport() const;
  /// Stands on other devices: md, device-mapper.
  [[nodiscard]] bool is_stacked() const;
  /// One of the paths to a disk that device-mapper's multipath has put together.
  [[nodiscard]] bool is_multipath_member() const;
  [[nodiscard]] bool is_partition() const;
  /// virtio-blk's own, which lsblk knows through udev alone.
  [[nodiscard]] std::string virtio_serial() const;
  /// A name that the disk claims to have for ever (NAA, EUI-64, …), as udev's rules read it.
  [[nodiscard]] std::string wwid() const;

 private:
  struct ScsiAddress {
    std::uint32_t host = 0;
    std::string text;  // "0:0:0:0"
  };
  [[nodiscard]] std::optional<ScsiAddress> scsi_address() const;
  [[nodiscard]] std::string scsi_transport(const ScsiAddress& address) const;

  std::filesystem::path root_;
  std::string kname_;
  std::filesystem::path folder_;
};

}  // namespace ingot::disk
