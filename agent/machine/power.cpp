#include "agent/machine/power.hpp"

#include <fcntl.h>
#include <linux/reboot.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/text/text.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

// The kernel's own way, for when reboot(2) comes back.
bool sysrq(char key) {
  const UniqueFd trigger(::open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC));
  return trigger && ::write(trigger.get(), &key, 1) == 1;
}

class MachinePower final : public Power {
 public:
  explicit MachinePower(bool allowed) : allowed_(allowed) {}
  Result<void> off() override { return end(RB_POWER_OFF, 'o', "switching this machine off"); }
  void isolate() override {
    if (!allowed_) return;
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct if_nameindex* const names = ::if_nameindex();
    if (names == nullptr) return;
    for (const auto* each = names; each->if_index != 0; ++each) {
      ifreq request{};
      std::strncpy(request.ifr_name, each->if_name, sizeof request.ifr_name - 1);
      if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) continue;
      request.ifr_flags = static_cast<short>(request.ifr_flags & ~IFF_UP);
      ::ioctl(control.get(), SIOCSIFFLAGS, &request);
    }
    ::if_freenameindex(names);
  }
  Result<void> reboot() override { return end(RB_AUTOBOOT, 'b', "rebooting this machine"); }
  Result<void> kexec() override {
    return end(RB_KEXEC, std::nullopt, "starting the new system's kernel");
  }

 private:
  Result<void> end(int command, std::optional<char> key, const char* what) const {
    if (!allowed_)
      return fail(Errc::usage_option,
                  std::string(what) + ": this is no RAM disk, so far as is known",
                  "put ingot.allow-power=1 on the kernel command line if it is one");
    say(what);
    // The RAM disk has nothing to shut down; what is on the disks must be there.
    ::sync();
    ::reboot(command);
    const int error = errno;
    if (key && sysrq(*key)) return {};
    return tl::unexpected(system_error(Errc::internal_bug, what, error));
  }

  const bool allowed_;
};

class ProcessPower final : public Power {
 public:
  explicit ProcessPower(std::function<void()> exit) : exit_(std::move(exit)) {}
  Result<void> off() override { return end("power off"); }
  Result<void> reboot() override { return end("reboot"); }
  Result<void> kexec() override { return end("kexec"); }
  void isolate() override { say("the network stays up, as --power exit says"); }

 private:
  Result<void> end(const char* what) {
    say(std::string(what) + ": ending, as --power exit says");
    exit_();
    return {};
  }

  const std::function<void()> exit_;
};

}  // namespace

bool is_ram_disk(const std::string& environment, const std::string& mark) {
  if (::access(mark.c_str(), F_OK) == 0) return true;
  const UniqueFd file(::open(environment.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::string text(64UL << 10, '\0');
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\0'), rest.size());
    const auto variable = rest.substr(0, end);
    if (variable == "INGOT_RAMDISK=1" || variable == "SYSTEMD_IN_INITRD=1") return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

std::unique_ptr<Power> make_power(PowerMode mode, bool allowed, std::function<void()> exit) {
  if (mode == PowerMode::exit) return std::make_unique<ProcessPower>(std::move(exit));
  return std::make_unique<MachinePower>(allowed || is_ram_disk());
}

}  // namespace ingot::agent
