#include "disk/boot/fat_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "disk/boot/entry_text.hpp"
#include "disk/core/subprocess.hpp"
#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr uid_t kNobody = 65534;  // whom run_subprocess() becomes
constexpr std::chrono::seconds kPatience{20};
constexpr std::uint64_t kCpuSeconds = 10;  // a directory that contains itself has no end
constexpr std::size_t kMostListing = MiB;
constexpr std::size_t kLeastOutput = 4 * KiB;  // of what it complains about
constexpr std::size_t kLongestPath = 255;
constexpr std::string_view kTop = "::/";
constexpr std::string_view kPatterns = "*?[]\\";  // mtools takes them for more than themselves

// mtools opens the disk by name, as nobody, who may not open the disk's own node. So it gets a node
// that only nobody can read. It is without a name again when this returns.
Result<UniqueFd> open_for_nobody(int fd, dev_t device, const std::string& name) {
  // Under /dev, where nodes work; who is not root cannot have put anything there.
  const std::string node = fmt::format("/dev/.ingot-boot-{}-{}", ::getpid(), fd);
  const auto failed = [&name] {
    return tl::unexpected(
        system_error(Errc::device_permission, name + ": making it readable for mtools", errno,
                     "run this as root, where device nodes can be made under /dev"));
  };
  ::unlink(node.c_str());  // of a process that was killed in the midst of this
  if (::mknod(node.c_str(), S_IFBLK | S_IRUSR, device) != 0) return failed();
  UniqueFd opened;
  if (::lchown(node.c_str(), kNobody, kNobody) == 0)
    opened = UniqueFd(::open(node.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const int error = errno;
  ::unlink(node.c_str());
  errno = error;
  if (!opened) return failed();
  return opened;
}

Error unreadable(const std::string& name, const std::string& why) {
  return Error(Errc::device_unsuitable, fmt::format("{}: its files cannot be read: {}", name, why),
               "check the image's EFI system partition with fsck.vfat; mtools also needs libc's "
               "C.UTF-8 locale and gconv modules on this machine");
}

}  // namespace

Result<FatTree> FatTree::open(int fd, std::uint64_t offset, std::string name) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISBLK(facts.st_mode))
    return fail(Errc::internal_bug, name + ": not a block device");
  if (::geteuid() != 0) {  // mtools then runs as we do
    UniqueFd same(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!same) return tl::unexpected(system_error(Errc::device_permission, name, errno));
    return FatTree(std::move(same), offset, std::move(name));
  }
  INGOT_TRY_ASSIGN(UniqueFd own, open_for_nobody(fd, facts.st_rdev, name));
  return FatTree(std::move(own), offset, std::move(name));
}

Result<std::string> FatTree::run(const std::string& program,
                                 const std::vector<std::string>& arguments, std::size_t limit,
                                 const std::stop_token& stop) const {
  const auto path = find_program(program);
  const auto environment = find_program("env");  // every subprocess gets the same one
  if (!path || !environment)
    return fail(Errc::write_boot_entry,
                fmt::format("{}: {} is not on this machine", name_, program),
                "install Debian's package mtools");
  SubprocessRequest request;
  // Names in UTF-8, short ones in Linux's own code page; no geometry to be checked.
  request.argv = {*environment,
                  "LC_ALL=C.UTF-8",
                  "DEFAULT_CODEPAGE=437",
                  "TZ=UTC",
                  "MTOOLS_SKIP_CHECK=1",
                  *path,
                  "-i",
                  fmt::format("/proc/self/fd/3@@{}", offset_)};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  request.inherit = {fd_.get()};
  request.timeout = kPatience;
  request.cpu_seconds = kCpuSeconds;
  request.output_limit = std::max(limit, kLeastOutput);
  request.error_code = Errc::write_boot_entry;
  INGOT_TRY_ASSIGN(auto outcome, run_subprocess(request, stop));
  if (outcome.out.size() >= limit)
    return tl::unexpected(unreadable(name_, fmt::format("{} said too much", program)));
  if (!outcome.ok())
    return tl::unexpected(unreadable(
        name_,
        fmt::format("{} failed ({}; {})", program, outcome.describe_end(), shown(outcome.err))));
  return std::move(outcome.out);
}

Result<std::vector<std::string>> FatTree::files(const std::string& folder,
                                                const std::stop_token& stop) const {
  const auto list = [&](std::vector<std::string> arguments) -> Result<std::vector<std::string>> {
    INGOT_TRY_ASSIGN(const std::string listing, run("mdir", arguments, kMostListing, stop));
    std::vector<std::string> paths;
    for (std::size_t at = 0; at < listing.size();) {
      const std::size_t end = std::min(listing.find('\n', at), listing.size());
      const std::string_view line = std::string_view(listing).substr(at, end - at);
      at = end + 1;
      if (line.starts_with(kTop) && line.size() <= kTop.size() + kLongestPath && fits_entry(line))
        paths.emplace_back(line.substr(kTop.size()));
    }
    return paths;
  };
  // What is not there is told from what cannot be read by looking for it.
  INGOT_TRY_ASSIGN(const auto top, list({"-a", "-b", std::string(kTop)}));
  const auto place = std::ranges::find_if(
      top, [&folder](const std::string& path) { return same_name(path, folder + "/"); });
  if (place == top.end()) return std::vector<std::string>();
  // One path a line; those of directories end in a slash.
  INGOT_TRY_ASSIGN(auto paths,
                   list({"-/", "-a", "-b", std::string(kTop) + place->substr(0, folder.size())}));
  std::erase_if(paths, [](const std::string& path) { return path.ends_with('/'); });
  return paths;
}

Result<std::string> FatTree::read(const std::string& path, std::size_t limit,
                                  const std::stop_token& stop) const {
  if (path.find_first_of(kPatterns) != std::string::npos)
    return tl::unexpected(unreadable(name_, "a file name that mtools does not take"));
  return run("mtype", {std::string(kTop) + path}, limit + 1, stop);
}

}  // namespace ingot::disk
