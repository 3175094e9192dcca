/// What the system on a disk would start by itself, whichever boot loader it has.
#pragma once

#include "disk/menu/boot_choice.hpp"

namespace ingot::disk {

/// The default of the boot loader that the machine's firmware would start:
///
///   1. with UEFI, where the ESP has systemd-boot: its entries;
///   2. GRUB's grub.cfg, with UEFI that of a vendor on the ESP first. Where there are several, all
///   of
///      them have to boot the same;
///   3. without either: boot loader entries and, with UEFI, a unified kernel image under the name
///      that firmware looks for.
///
/// Errors: image.unsupported: there is no menu, or its default is not known for certain.
Result<BootChoice> choose_boot(const BootVolumes& volumes, const BootFirmware& firmware);

}  // namespace ingot::disk
