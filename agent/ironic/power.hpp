/// Power: switches the machine off or reboots it. Nothing else in ingot does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/ironic/parameters.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

class Power {
 public:
  virtual ~Power() = default;
  /// Returns if it could not be done, or with PowerMode::exit once the process was told to end.
  /// Errors: usage.option where it is not allowed, internal.bug when the kernel refuses.
  virtual Result<void> off() = 0;
  virtual Result<void> reboot() = 0;
  /// Takes every network interface down; with PowerMode::exit, or where nothing may be switched
  /// off, none.
  virtual void isolate() = 0;
};

/// Whether this system is one that an agent may switch off: `options.allow_power`, or process 1
/// was started with INGOT_RAMDISK=1 or SYSTEMD_IN_INITRD=1. `environment` is /proc/1/environ.
[[nodiscard]] bool may_switch_off(const AgentOptions& options,
                                  const std::string& environment = "/proc/1/environ");

/// With PowerMode::exit both call `exit` instead.
std::unique_ptr<Power> make_power(const AgentOptions& options, std::function<void()> exit);

}  // namespace ingot::agent
