#include "agent/ironic/virtual_media.hpp"

#include <blkid/blkid.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/machine/kernel_text.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"
#include "agent/text/write_all.hpp"
#include "disk/core/error.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::array<std::string_view, 3> kLabels{"ir-vfd-dev", "config-2", "vmedia_boot_iso"};
constexpr std::string_view kModel = "virtual media";
constexpr std::array<std::string_view, 2> kFolders{"etc/ironic-python-agent",
                                                   "etc/ironic-python-agent.d"};
constexpr std::string_view kMainConfig = "/etc/ironic-python-agent/ironic-python-agent.conf";
constexpr std::uint64_t kLargestDisk = 4ULL << 30;
constexpr std::size_t kMostParameters = 64UL << 10, kMostFile = 1UL << 20, kMostFiles = 64;
constexpr std::size_t kMostEntries = 4096;  // of a folder; a hostile one may have no end

// The first line of an attribute; "" where there is none.
std::string attribute(const fs::path& path) {
  constexpr std::size_t kPage = 4096;
  const std::string text = read_bytes(path, kPage);
  return text.substr(0, text.find('\n'));
}

// Whether the device hangs from a USB controller ("…/usb2/2-1/…").
bool is_usb(const fs::path& sysfs, const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::canonical(sysfs, error);
  if (error) return false;
  const fs::path device = fs::canonical(folder / "device", error);
  if (error) return false;
  return std::ranges::any_of(device.lexically_relative(root), [](const fs::path& part) {
    const std::string& name = part.native();
    return name.size() > 3 && name.starts_with("usb") && name[3] >= '0' && name[3] <= '9';
  });
}

// SCSI's peripheral device types: 5 is an optical drive, 0 and 14 are disks.
bool is_plausible(const fs::path& sysfs, const fs::path& folder) {
  constexpr std::uint64_t kSector = 512;  // of the attribute, whatever the disk has
  std::error_code error;
  if (fs::exists(folder / "partition", error)) return false;
  const std::string type = attribute(folder / "device/type");
  if (type == "5") return true;
  if ((type != "0" && type != "14") || !is_usb(sysfs, folder)) return false;
  std::uint64_t sectors = 0;
  std::ifstream(folder / "size") >> sectors;
  return sectors > 0 && sectors < kLargestDisk / kSector;
}

struct FreeProbe {
  void operator()(blkid_probe probe) const noexcept { blkid_free_probe(probe); }
};

std::string value_of(blkid_probe probe, const char* name) {
  const char* text = nullptr;
  if (blkid_probe_lookup_value(probe, name, &text, nullptr) != 0 || text == nullptr) return {};
  std::string value(text);
  while (value.ends_with(' ')) value.pop_back();
  return value;
}

// The file systems on it that may be mounted. An image that boots from a disk as well as from an
// optical drive has several, so that it is ambiguous only for who wants to know the one.
std::vector<Medium> file_systems_on(const VirtualMediaPlaces& places, const std::string& kname) {
  constexpr int kMostFound = 16;
  const UniqueFd device(
      ::open((places.dev + "/" + kname).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!device) return {};  // no disc is in the drive, for one
  const std::unique_ptr<blkid_struct_probe, FreeProbe> probe(blkid_new_probe());
  if (!probe || blkid_probe_set_device(probe.get(), device.get(), 0, 0) != 0) return {};
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_LABEL | BLKID_SUBLKS_TYPE);
  std::vector<Medium> found;
  for (int count = 0; count < kMostFound && blkid_do_probe(probe.get()) == 0; ++count) {
    Medium medium{kname, value_of(probe.get(), "TYPE"), value_of(probe.get(), "LABEL")};
    if (std::ranges::find(places.file_systems, medium.file_system) != places.file_systems.end())
      found.push_back(std::move(medium));
  }
  return found;
}

// The place in the order that find_virtual_media() has; nothing for a medium that is not Ironic's.
std::optional<std::size_t> rank_of(const Medium& medium, const fs::path& folder) {
  const auto* const label = std::ranges::find(kLabels, lower_case(medium.label));
  if (label != kLabels.end()) return static_cast<std::size_t>(label - kLabels.begin());
  const std::string model = lower_case(attribute(folder / "device/model"));
  if (model.find(kModel) != std::string::npos) return kLabels.size();
  return std::nullopt;
}

// A file system that no path leads to: gone from the kernel with its descriptor.
Result<UniqueFd> mounted(const VirtualMediaPlaces& places, const Medium& medium) {
  const std::string device = places.dev + "/" + medium.kname;
  const auto failed = [&](int error) {
    return tl::unexpected(system_error(Errc::device_unsuitable,
                                       fmt::format("mounting {} ({})", device, medium.file_system),
                                       error));
  };
  const UniqueFd context(::fsopen(medium.file_system.c_str(), FSOPEN_CLOEXEC));
  if (!context) return failed(errno);
  if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", device.c_str(), 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return failed(errno);
  UniqueFd tree(
      ::fsmount(context.get(), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  if (!tree) return failed(errno);
  return tree;
}

// No link on the medium leads anywhere, and no FIFO holds us up.
UniqueFd open_on(const UniqueFd& folder, const std::string& name, int flags) {
  return UniqueFd(::openat(folder.get(), name.c_str(),
                           flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
}

UniqueFd folder_on(const UniqueFd& root, std::string_view path) {
  const auto slash = path.find('/');
  const UniqueFd first = open_on(root, std::string(path.substr(0, slash)), O_DIRECTORY);
  if (!first) return {};
  return open_on(first, std::string(path.substr(slash + 1)), O_DIRECTORY);
}

enum class Reading { done, absent, too_large, failed };

// A plain file; everything else is absent.
Reading read_plain(const UniqueFd& folder, const std::string& name, std::size_t most,
                   std::string& content) {
  const UniqueFd file = open_on(folder, name, 0);
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Reading::absent;
  if (status.st_size > static_cast<off_t>(most)) return Reading::too_large;
  content.assign(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < content.size()) {
    const ssize_t got = ::read(file.get(), content.data() + have, content.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Reading::failed;
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  content.resize(have);
  return Reading::done;
}

// Sorted, so that the same medium is read the same way each time. Names that could be no file of
// ours are left out.
std::vector<std::string> names_in(UniqueFd folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(folder.get()), &::closedir);
  if (!list) return names;
  static_cast<void>(folder.release());
  for (std::size_t count = 0; count < kMostEntries; ++count) {
    const dirent* entry = ::readdir(list.get());
    if (entry == nullptr) break;
    std::string name(entry->d_name);
    if (!name.starts_with('.') && name.find('/') == std::string::npos)
      names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

// The copies in the run directory, for root alone; made when the first one comes.
class Copies {
 public:
  explicit Copies(const std::string& run_dir)
      : run_dir_(run_dir), top_(run_dir + "/virtual-media") {
    std::error_code error;
    fs::remove_all(top_, error);  // of an earlier start in this boot
  }

  /// The path of the copy. Errors: usage.option.
  Result<std::string> add(const std::string& place, const std::string& content) {
    constexpr std::chrono::seconds kPatience{10};
    INGOT_TRY(make_folders());
    std::string path = top_ + place;
    const UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    const int failed = file ? write_all(file.get(), content, kPatience) : errno;
    if (failed != 0)
      return tl::unexpected(system_error(Errc::usage_option, "writing " + printable(path), failed));
    return path;
  }

 private:
  Result<void> make_folders() {
    if (made_) return {};
    std::vector<std::string> folders{run_dir_, top_, top_ + "/etc"};
    for (const std::string_view folder : kFolders)
      folders.push_back(fmt::format("{}/{}", top_, folder));
    for (const std::string& folder : folders)
      if (::mkdir(folder.c_str(), 0700) != 0 && !(folder == run_dir_ && errno == EEXIST))
        return tl::unexpected(system_error(Errc::usage_option, "making " + folder, errno));
    made_ = true;
    return {};
  }

  const std::string run_dir_, top_;
  bool made_ = false;
};

class Reader {
 public:
  Reader(const VirtualMediaPlaces& places, const std::string& run_dir, VirtualMedia& into)
      : places_(places), copies_(run_dir), into_(into) {}

  void read(const Medium& medium) {
    const auto root = mounted(places_, medium);
    if (!root) return complain(root.error().message());
    shown_ = places_.dev + "/" + medium.kname;
    const std::size_t before = into_.files.size();
    const bool has_parameters = read_parameters(*root);
    for (const std::string_view folder : kFolders) read_folder(*root, folder);
    say(fmt::format("virtual media {} (\"{}\"): {}parameters, {} configuration files", shown_,
                    printable(medium.label), has_parameters ? "" : "no ",
                    into_.files.size() - before));
  }

 private:
  void complain(const std::string& what) { into_.problems.push_back("virtual media: " + what); }

  bool taken(Reading how, const std::string& place, std::size_t most) {
    if (how == Reading::too_large)
      complain(fmt::format("{} of {} has more than {} KiB: it is ignored", printable(place), shown_,
                           most >> 10));
    if (how == Reading::failed)
      complain(fmt::format("{} of {} cannot be read: it is ignored", printable(place), shown_));
    return how == Reading::done;
  }

  bool read_parameters(const UniqueFd& root) {
    std::string text;
    if (has_parameters_ || !taken(read_plain(root, "parameters.txt", kMostParameters, text),
                                  "/parameters.txt", kMostParameters))
      return false;
    into_.parameters = std::move(text);
    return has_parameters_ = true;
  }

  void read_folder(const UniqueFd& root, std::string_view path) {
    const UniqueFd folder = folder_on(root, path);
    if (!folder) return;
    for (const std::string& name : names_in(folder_on(root, path))) {
      const std::string place = fmt::format("/{}/{}", path, name);
      const auto same = [&](const MediumFile& file) { return file.place == place; };
      if (std::ranges::any_of(into_.files, same)) continue;  // an earlier medium's counts
      if (into_.files.size() >= kMostFiles)
        return complain(
            fmt::format("{} has more than {} configuration files: {} and those after "
                        "it are ignored",
                        shown_, kMostFiles, printable(place)));
      std::string content;
      if (!taken(read_plain(folder, name, kMostFile, content), place, kMostFile)) continue;
      if (auto copy = copies_.add(place, content))
        into_.files.push_back({place, *std::move(copy)});
      else
        complain(copy.error().message() + ": it is ignored");
    }
  }

  const VirtualMediaPlaces& places_;
  Copies copies_;
  VirtualMedia& into_;
  std::string shown_;
  bool has_parameters_ = false;
};

}  // namespace

std::vector<Medium> find_virtual_media(const VirtualMediaPlaces& places) {
  std::vector<std::pair<std::size_t, Medium>> ranked;
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(places.sysfs + "/class/block", error), end; !error && it != end;
       it.increment(error))
    folders.push_back(it->path());
  std::ranges::sort(folders);
  for (const fs::path& folder : folders) {
    if (!is_plausible(places.sysfs, folder)) continue;
    std::optional<std::pair<std::size_t, Medium>> best;
    for (Medium& medium : file_systems_on(places, folder.filename()))
      if (const auto rank = rank_of(medium, folder); rank && (!best || *rank < best->first))
        best = {*rank, std::move(medium)};
    if (best) ranked.push_back(*std::move(best));
  }
  std::ranges::stable_sort(ranked, {}, &std::pair<std::size_t, Medium>::first);
  std::vector<Medium> media;
  media.reserve(ranked.size());
  for (auto& each : ranked) media.push_back(std::move(each.second));
  return media;
}

VirtualMedia read_virtual_media(const VirtualMediaPlaces& places, const std::string& run_dir,
                                const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kLook{500};
  const auto end = Clock::now() + places.patience;
  VirtualMedia result;
  std::vector<Medium> media = find_virtual_media(places);
  while (media.empty() && Clock::now() < end && pause(stop, std::min(kLook, places.patience)))
    media = find_virtual_media(places);
  Reader reader(places, run_dir, result);
  for (const Medium& medium : media) reader.read(medium);
  if (media.empty()) say("no virtual media with parameters or configuration was found");
  return result;
}

std::vector<std::string> config_files(const std::vector<std::string>& own,
                                      const VirtualMedia& media) {
  std::map<std::pair<bool, std::string>, std::string> files;  // not the first, place; path
  for (const std::string& path : own) files[{path != kMainConfig, path}] = path;
  for (const MediumFile& file : media.files)
    if (file.place.ends_with(".conf")) files[{file.place != kMainConfig, file.place}] = file.copy;
  std::vector<std::string> paths;
  for (auto& [order, path] : files) paths.push_back(std::move(path));
  return paths;
}

void use_files_of_medium(AgentOptions& options, const VirtualMedia& media) {
  for (std::string* path : {&options.ca_file, &options.client_cert_file, &options.client_key_file,
                            &options.listen_cert_file, &options.listen_key_file})
    for (const MediumFile& file : media.files)
      if (*path == file.place) {
        *path = file.copy;
        break;
      }
}

}  // namespace ingot::agent
