#include "agent/machine/kexec.hpp"

#include <linux/kexec.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace ingot::agent {
namespace {

const char* reason(int error) {
  switch (error) {
    case ENOSYS:
      return "this kernel was built without kexec_file_load";
    case EPERM:
      return "it is not allowed (not root, kernel.kexec_load_disabled, or lockdown)";
    case EBUSY:
      return "another process is loading a kernel";
    case ENOEXEC:
      return "it is no kernel that this one can start";
    case EKEYREJECTED:
    case EBADMSG:
    case ENODATA:
    case ENOKEY:
    case ENOPKG:
      return "Secure Boot: no key of this kernel vouches for it";
    case EADDRNOTAVAIL:
    case ENOMEM:
      return "not enough memory";
    default:
      return nullptr;
  }
}

}  // namespace

Result<void> load_kernel(int kernel, int initrd, const std::string& command_line) {
  const unsigned long flags = initrd < 0 ? KEXEC_FILE_NO_INITRAMFS : 0;
  // The length counts the NUL.
  if (::syscall(SYS_kexec_file_load, kernel, initrd, command_line.size() + 1, command_line.c_str(),
                flags) == 0)
    return {};
  const int error = errno;
  if (const char* why = reason(error))
    return fail(Errc::device_unsupported, std::string("loading the new kernel: ") + why);
  return tl::unexpected(system_error(Errc::device_unsupported, "loading the new kernel", error));
}

void unload_kernel() noexcept {
  ::syscall(SYS_kexec_file_load, -1, -1, 0UL, nullptr,
            static_cast<unsigned long>(KEXEC_FILE_UNLOAD));
}

}  // namespace ingot::agent
