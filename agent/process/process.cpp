#include "agent/process/process.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {

void set_up_process() noexcept {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
      std::_Exit(1);          // nowhere to say why
#ifndef __SANITIZE_ADDRESS__  // its leak check attaches to the process
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  constexpr rlimit kNoCore{0, 0};
  ::setrlimit(RLIMIT_CORE, &kNoCore);
  ::mallopt(M_ARENA_MAX, 2);
  ::umask(077);
  std::signal(SIGPIPE, SIG_IGN);
}

std::uint64_t peak_rss() noexcept {
  std::array<char, 4096> text{};
  const UniqueFd status(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  if (status && ::read(status.get(), text.data(), text.size() - 1) > 0)
    if (const char* line = std::strstr(text.data(), "\nVmHWM:"))
      return std::strtoull(line + std::strlen("\nVmHWM:"), nullptr, 10) * 1024;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace ingot::agent
