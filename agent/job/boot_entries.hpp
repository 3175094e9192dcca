/// Boot entries: after an image was written, the machine's firmware is told to start it.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "disk/boot/boot_entries.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

using BootEntry = disk::BootEntry;

struct BootEntriesRequest {
  /// Of the partition that is to count as the EFI system partition: a GPT's partition GUID, or an
  /// MBR's "signature-number"; upper or lower case. "": found by its type.
  std::string efi_system_part_uuid = {};
  /// The machine's, for which a test may put others in.
  std::string sysfs = "/sys";
  std::string efibootmgr = {};  ///< path of the program; "": on $PATH
};

struct BootEntriesResult {
  /// "BIOS: nothing to do", "UEFI: no loader on the EFI system partition", "UEFI: as
  /// \EFI\debian\BOOTX64.CSV lists them", "UEFI: one entry for each loader".
  std::string how;
  std::vector<BootEntry> created;    ///< in the order in which the firmware tries them
  std::vector<std::string> removed;  ///< "Boot0003 debian"
};

/// Makes the firmware start what is on the whole disk `device`, before anything else. The disk is
/// only read. Where the machine was not started by UEFI, or nothing on the disk could be started,
/// that is no error; `how` says so.
/// Errors: as disk::make_boot_entries(): device.*, write.boot-entry, cancelled. The image on the
/// disk stays as it is.
Result<BootEntriesResult> install_boot_entries(const std::string& device,
                                               const BootEntriesRequest& request,
                                               std::stop_token stop);

/// The result in one line for people: "UEFI: as \EFI\debian\BOOTX64.CSV lists them: 'debian'
/// (\EFI\debian\shimx64.efi on partition 1); removed Boot0003 debian".
std::string describe(const BootEntriesResult& result);

}  // namespace ingot::agent
