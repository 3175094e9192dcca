/// Disk: what is known about one whole disk, without opening it for more than reading.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ingot::disk {

/// Which device this is, independent of its name: names move when devices come and go.
struct DiskIdentity {
  dev_t number = 0;            ///< major and minor
  std::uint64_t sequence = 0;  ///< diskseq of sysfs and BLKGETDISKSEQ; 0: the kernel has none
  std::uint64_t size = 0;      ///< bytes
  std::string serial;          ///< "" when it has none
  std::string wwn;             ///< "" when it has none

  bool operator==(const DiskIdentity&) const = default;
};

/// One whole disk. A text that the disk does not have is "". The values are those that Ironic's
/// agent sees for the same disk, so that the same root device hints choose it (hints.hpp).
/// Sources: sysfs (Documentation/ABI/stable/sysfs-block), udev's database, libblkid.
struct Disk {
  std::string name;                        ///< "/dev/sda"
  std::string kname;                       ///< the kernel's: "sda", "dm-0"
  dev_t number = 0;                        ///< major and minor
  std::uint64_t sequence = 0;              ///< diskseq; 0: none
  std::uint64_t size = 0;                  ///< bytes
  std::string type;                        ///< as lsblk's TYPE: disk, raid1, mpath, loop
  std::string model;                       ///< as lsblk's MODEL
  std::string vendor;                      ///< sysfs device/vendor
  std::string serial;                      ///< as lsblk's SERIAL
  std::string udev_serial_short;           ///< ID_SERIAL_SHORT or DM_SERIAL_SHORT
  std::string udev_serial;                 ///< ID_SERIAL or DM_SERIAL
  std::string wwn;                         ///< as lsblk's WWN
  std::string udev_wwn;                    ///< ID_WWN or DM_WWN
  std::string wwn_with_extension;          ///< ID_WWN_WITH_EXTENSION or DM_WWN_WITH_EXTENSION
  std::string wwn_vendor_extension;        ///< ID_WWN_VENDOR_EXTENSION or DM_WWN_VENDOR_EXTENSION
  std::string hctl;                        ///< SCSI host:channel:target:lun
  std::string by_path;                     ///< "/dev/disk/by-path/…"
  std::vector<std::string> by_path_links;  ///< all of them, sorted
  std::vector<std::string> by_id;          ///< "/dev/disk/by-id/…", sorted
  bool rotational = false;
  bool removable = false;
  bool read_only = false;
  std::uint32_t logical_sector = 512;   ///< bytes
  std::uint32_t physical_sector = 512;  ///< bytes
  std::string transport;                ///< as lsblk's TRAN: nvme, sata, sas, virtio, usb, mmc, …
  std::string table;                    ///< gpt, dos, …; a file system's name on a bare disk; ""
  std::string table_id;                 ///< GPT's disk GUID, or the MBR's 0x…
  std::vector<std::string> users;       ///< what holds it: "mounted on /boot (sda1)", "md0", …
  bool running_system = false;          ///< holds what the running system needs

  [[nodiscard]] DiskIdentity identity() const {
    return {number, sequence, size, serial.empty() ? udev_serial_short : serial,
            wwn.empty() ? udev_wwn : wwn};
  }
};

}  // namespace ingot::disk
