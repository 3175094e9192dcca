#include "agent/text/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "agent/text/write_all.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {

std::string read_private_file(const std::string& path, std::size_t limit) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  // Only what this user wrote for himself counts.
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    return {};
  std::string text(limit, '\0');
  std::size_t size = 0;
  while (size < limit) {
    const ssize_t got = ::read(file.get(), text.data() + size, limit - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

Result<void> write_private_file(const std::string& directory, const std::string& name,
                                const std::string& content, const std::string& advice) {
  constexpr std::chrono::seconds kPatience{10};
  const std::string path = directory + "/" + name, draft = path + std::string(kDraftSuffix);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return tl::unexpected(system_error(Errc::usage_option, "making " + directory, errno, advice));
  const auto failed = [&](int error) {
    return tl::unexpected(system_error(Errc::usage_option, "writing " + path, error, advice));
  };
  ::unlink(draft.c_str());
  const UniqueFd file(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed(errno);
  if (const int error = write_all(file.get(), content, kPatience); error != 0) return failed(error);
  if (::fsync(file.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) return failed(errno);
  // The name is on its medium only when the directory is.
  const UniqueFd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return failed(errno);
  return {};
}

}  // namespace ingot::agent
