#include "disk/menu/file_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "disk/boot/entry_text.hpp"

namespace ingot::disk {
namespace {

constexpr int kTries = 8;  // a rename beneath us makes the kernel ask for another one

std::string at(const std::string& tree, const std::string& path) {
  return fmt::format("{}: {}", tree, shown(path));
}

}  // namespace

UniqueFd FileTree::resolve(const std::string& path, int flags) const {
  if (path.find('\0') != std::string::npos) {
    errno = EINVAL;
    return {};
  }
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  const std::string name = path.empty() ? "/" : path;
  for (int tries = 0;; ++tries) {
    const auto fd = ::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries == kTries)
      return UniqueFd(static_cast<int>(fd));
  }
}

FileTree::Kind FileTree::kind(const std::string& path) const {
  const UniqueFd found = resolve(path, O_PATH);
  struct stat facts {};
  if (!found || ::fstat(found.get(), &facts) != 0) return Kind::none;
  if (S_ISDIR(facts.st_mode)) return Kind::directory;
  return S_ISREG(facts.st_mode) ? Kind::file : Kind::none;
}

Result<UniqueFd> FileTree::open(const std::string& path) const {
  // A FIFO is found out before anything waits for its other end.
  UniqueFd file = resolve(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file)
    return tl::unexpected(
        system_error(Errc::image_unsupported, at("opening " + name_, path), errno));
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode))
    return fail(Errc::image_unsupported, at(name_, path) + " is no regular file");
  return file;
}

Result<std::string> FileTree::read(const std::string& path, std::size_t limit) const {
  INGOT_TRY_ASSIGN(const UniqueFd file, open(path));
  std::string content;
  // One byte more than allowed tells a file that is too large; st_size may be a lie.
  struct stat facts {};
  const auto size = ::fstat(file.get(), &facts) == 0 ? facts.st_size : 0;
  if (size > 0 && static_cast<std::uint64_t>(size) > limit)
    return fail(Errc::image_unsupported,
                fmt::format("{} has {} bytes, more than {}", at(name_, path), size, limit));
  char buffer[16384];
  while (content.size() <= limit) {
    const ssize_t got =
        ::read(file.get(), buffer, std::min(sizeof buffer, limit + 1 - content.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return tl::unexpected(
          system_error(Errc::image_unsupported, at("reading " + name_, path), errno));
    if (got == 0) return content;
    content.append(buffer, static_cast<std::size_t>(got));
  }
  return fail(Errc::image_unsupported,
              fmt::format("{} has more than {} bytes", at(name_, path), limit));
}

Result<std::vector<std::string>> FileTree::list(const std::string& path, std::size_t limit) const {
  UniqueFd folder = resolve(path, O_RDONLY | O_DIRECTORY);
  std::vector<std::string> names;
  if (!folder) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), &::closedir);
  if (!entries) return names;
  static_cast<void>(folder.release());
  while (const dirent* entry = ::readdir(entries.get())) {
    if (entry->d_name[0] == '.') continue;
    if (names.size() == limit)
      return fail(Errc::image_unsupported,
                  fmt::format("{} has more than {} entries", at(name_, path), limit));
    names.emplace_back(entry->d_name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace ingot::disk
