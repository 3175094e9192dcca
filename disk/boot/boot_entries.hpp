/// Boot entries: UEFI firmware is told to start the system that lies on a disk.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// One entry of the firmware's boot menu.
struct BootEntry {
  std::string label;       ///< what the menu shows; UTF-8, printable, at most 64 characters
  std::string loader;      ///< path on the EFI system partition: "\EFI\debian\shimx64.efi"
  std::string options;     ///< what the loader gets as its load options; mostly ""
  unsigned partition = 0;  ///< number of the EFI system partition, from 1

  bool operator==(const BootEntry&) const = default;
};

enum class BootOutcome {
  bios,          ///< this machine was not started by UEFI: the disk's own boot code is all it takes
  no_loader,     ///< nothing that firmware could start is on an EFI system partition
  from_csv,      ///< entries as the system's vendor lists them in a CSV file
  from_loaders,  ///< an entry for each loader
};

struct BootEntries {
  BootOutcome outcome = BootOutcome::bios;
  std::string csv;                   ///< from_csv: that file, "\EFI\debian\BOOTX64.CSV"
  std::vector<BootEntry> created;    ///< in the order in which the firmware tries them
  std::vector<std::string> removed;  ///< "Boot0003 debian": those that had the label of a new one
};

struct BootEntriesOptions {
  /// Of the EFI system partition that counts: GPT's partition GUID, or "signature-number" of an
  /// MBR. "": all, and the first one with a loader is taken.
  std::string partition_uuid = {};
  std::filesystem::path sysfs = "/sys";
  std::string efibootmgr = {};  ///< path of the program; "": looked for on $PATH
};

/// Puts entries for the system on the whole disk `device` first into the firmware's boot order.
///
/// Loaders are found as Ironic's agent finds them; README.md has the rules. Existing entries for
/// files on disks that have the label of a new one are removed first; others never. Does nothing,
/// and looks at nothing, where the machine was not started by UEFI. The disk is only read; the
/// firmware's variables are written by efibootmgr.
/// Errors: device.* (not a whole disk; no EFI system partition, or none that can be read; an MBR
/// without disk signature, which entries need); write.boot-entry (efibootmgr or mtools are missing
/// or failed: what was removed and made until then stays so); cancelled.
Result<BootEntries> make_boot_entries(const std::string& device, const BootEntriesOptions& options,
                                      std::stop_token stop);

}  // namespace ingot::disk
