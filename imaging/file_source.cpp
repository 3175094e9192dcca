#include "imaging/file_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ingot::imaging {

Result<LocalFile> open_local_file(const Url& url) {
  LocalFile file{{}, url.path, 0};
  // O_NONBLOCK: opening a FIFO that nobody writes to must not hang; a plain file ignores it.
  file.fd = UniqueFd(::open(url.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.fd)
    return tl::unexpected(
        system_error(Errc::source_file, "opening the image " + url.path, errno, "check its path"));
  struct stat facts {};
  if (::fstat(file.fd.get(), &facts) != 0)
    return tl::unexpected(
        system_error(Errc::source_file, "looking at the image " + url.path, errno));
  if (!S_ISREG(facts.st_mode))
    return fail(Errc::source_file, fmt::format("opening the image {}: not a plain file", url.path));
  file.size = static_cast<std::uint64_t>(facts.st_size);
  (void)::posix_fadvise(file.fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

Result<void> read_local_file(const LocalFile& file, std::uint64_t offset,
                             std::span<std::byte> out) {
  if (offset > file.size || out.size() > file.size - offset)
    return fail(Errc::source_truncated,
                fmt::format("reading the image {}: {} bytes at {} lie past its end at {}",
                            file.path, out.size(), offset, file.size));
  while (!out.empty()) {
    const ssize_t n = ::pread(file.fd.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return tl::unexpected(system_error(
          Errc::source_file, fmt::format("reading the image {} at byte {}", file.path, offset),
          errno, "check the disk that the file is on"));
    if (n == 0)
      return fail(Errc::source_changed,
                  fmt::format("reading the image {}: it ends at byte {} now, it had {} bytes when "
                              "it was opened",
                              file.path, offset, file.size),
                  "something else is writing to the file; start again when that is done");
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Attempt run_file_transfer(const Url& url, BlockFeed& feed, KnownObject& known,
                          const HttpTransfer::OnOpened& opened) {
  const auto file = open_local_file(url);
  if (!file) return give_up_mirror(file.error());
  if (known.total && *known.total != file->size)
    return give_up_mirror(
        Error(Errc::source_changed,
              fmt::format("the image {} has {} bytes, and the transfer started with one of {}",
                          url.path, file->size, *known.total)));
  known.total = file->size;
  if (!known.served) {
    known.served = ServedObject{url, url, file->size, {}, {}, {}, true, {}};
    opened(*known.served);
  }
  if (auto started = feed.restart("reading the image " + url.path); !started) return started;
  while (feed.position() < file->size) {
    auto room = feed.writable();
    if (!room) return tl::unexpected(std::move(room).error());
    const auto n = static_cast<std::size_t>(
        std::min<std::uint64_t>(room->size(), file->size - feed.position()));
    const auto bytes = read_local_file(*file, feed.position(), room->first(n));
    if (!bytes) {
      feed.abandon_restart();
      return give_up_mirror(bytes.error());
    }
    if (auto taken = feed.advance(n); !taken) return taken;
  }
  return {};
}

}  // namespace ingot::imaging
