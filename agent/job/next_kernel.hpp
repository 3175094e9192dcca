/// The kernel of the system that was written to a disk, for who wants to start it.
#pragma once

#include <stop_token>
#include <string>

#include "disk/menu/installed_kernel.hpp"

namespace ingot::agent {

using InstalledKernel = disk::InstalledKernel;

/// What the system on the whole disk `device` would start by itself. `sysfs` is the machine's, for
/// which a test may put another one in: whether firmware is UEFI's is read there.
/// Errors: as disk::find_installed_kernel(): device.*, image.unsupported, cancelled.
Result<InstalledKernel> find_next_kernel(const std::string& device, const std::string& sysfs,
                                         const std::stop_token& stop);

/// In one line for people: "'Debian GNU/Linux' (/boot/grub/grub.cfg: kernel …), command line: …".
/// The image's words are cleaned for a terminal.
std::string describe(const InstalledKernel& kernel);

}  // namespace ingot::agent
