/// The default entry of GRUB's menu, found without running GRUB.
#pragma once

#include <string>

#include "disk/menu/boot_choice.hpp"

namespace ingot::disk {

/// What GRUB would start that was given the file `path` of the volume `volume` as its
/// configuration, if nobody touched a key.
///
/// Follows variables, grubenv, tests, functions, `search`, `source`, `configfile`, submenus and
/// blscfg. What depends on anything else (firmware, other disks, hardware) is not known, and stays
/// harmless as long as the default entry, its files and its command line do not depend on it.
/// Otherwise, or where the script has a command whose effect is not known, there is no answer: it
/// is never guessed. README.md lists what is followed.
///
/// Errors: image.unsupported, with file and line. The files of the choice need not exist.
/// Source: GNU GRUB manual 2.06; Fedora's patches for blscfg.
Result<BootChoice> choose_grub_entry(const BootVolumes& volumes, std::size_t volume,
                                     const std::string& path, const BootFirmware& firmware);

}  // namespace ingot::disk
