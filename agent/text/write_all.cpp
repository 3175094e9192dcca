#include "agent/text/write_all.hpp"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ingot::agent {

int write_all(int fd, std::string_view text, std::chrono::milliseconds patience) {
  while (!text.empty()) {
    pollfd ready{fd, POLLOUT, 0};
    const int got = ::poll(&ready, 1, static_cast<int>(patience.count()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return ETIMEDOUT;
    const ssize_t done = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (done < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (done < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  return 0;
}

}  // namespace ingot::agent
