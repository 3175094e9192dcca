#include "imaging/config_drive/memory_file.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <ctime>

namespace ingot::imaging {
namespace {

tl::unexpected<Error> failed(std::string_view what) {
  return tl::unexpected(system_error(Errc::internal_bug, what, errno, "check the free memory"));
}

}  // namespace

Result<UniqueFd> make_memory_file(std::uint64_t size) {
  UniqueFd fd(::memfd_create("ingot-config-drive", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 || ::fchmod(fd.get(), 0666) != 0)
    return failed("a file in memory");
  return fd;
}

Result<UniqueFd> make_memory_file(std::span<const std::byte> content) {
  INGOT_TRY_ASSIGN(UniqueFd fd, make_memory_file(0));
  for (std::size_t done = 0; done < content.size();) {
    const auto written =
        ::pwrite(fd.get(), content.data() + done, content.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("writing a file in memory");
    done += static_cast<std::size_t>(written);
  }
  constexpr std::time_t k1980 = 315'532'800;
  const std::array<timespec, 2> times = {timespec{k1980, 0}, timespec{k1980, 0}};
  if (::futimens(fd.get(), times.data()) != 0) return failed("a file in memory");
  return fd;
}

Result<SecretBytes> read_memory_file(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return failed("a file in memory");
  SecretBytes bytes(static_cast<std::size_t>(status.st_size));
  for (std::size_t done = 0; done < bytes.size();) {
    const auto got =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failed("reading a file in memory");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace ingot::imaging
