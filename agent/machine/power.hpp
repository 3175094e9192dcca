/// Power: switches the machine off, reboots it, or has it start another kernel. Nothing else in
/// ingot does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// How the machine is switched off or rebooted.
enum class PowerMode {
  real,  ///< it is
  exit,  ///< this process ends instead: tests, containers
};

class Power {
 public:
  virtual ~Power() = default;
  /// Returns if it could not be done, or with PowerMode::exit once the process was told to end.
  /// Errors: usage.option where it is not allowed, internal.bug when the kernel refuses.
  virtual Result<void> off() = 0;
  virtual Result<void> reboot() = 0;
  /// Starts the kernel that load_kernel() has loaded, without the firmware. Errors: as off(); there
  /// is none.
  virtual Result<void> kexec() = 0;
  /// Takes every network interface down; with PowerMode::exit, or where nothing may be switched
  /// off, none.
  virtual void isolate() = 0;
};

/// Whether this system is a RAM disk, which may be switched off: it has /etc/initrd-release, as
/// every initramfs of systemd's has (systemd(1)), or process 1 was started with INGOT_RAMDISK=1 or
/// SYSTEMD_IN_INITRD=1. `environment` is /proc/1/environ, `mark` is that file.
[[nodiscard]] bool is_ram_disk(const std::string& environment = "/proc/1/environ",
                               const std::string& mark = "/etc/initrd-release");

/// `allowed`: somebody said that this system may be switched off; a RAM disk may be in any case.
/// With PowerMode::exit all call `exit` instead.
std::unique_ptr<Power> make_power(PowerMode mode, bool allowed, std::function<void()> exit);

}  // namespace ingot::agent
