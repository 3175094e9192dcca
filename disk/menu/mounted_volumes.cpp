#include "disk/menu/mounted_volumes.hpp"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/loop.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "disk/inventory/attribute.hpp"
#include "disk/inventory/blkid_probe.hpp"

namespace ingot::disk {
namespace {

constexpr const char* kSystemGpt = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
constexpr const char* kExtendedGpt = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
constexpr int kSystemMbr = 0xef, kExtendedMbr = 0xea;
constexpr std::size_t kMostVolumes = 32;
constexpr std::uint64_t kBlkidSector = 512;  // libblkid's unit, whatever the disk's sectors are

// What libblkid calls a file system, the driver that mounts it, and the option that keeps it from
// replaying a journal: that would write, and boot loaders do not do it either.
struct Driver {
  std::string_view type;
  const char* name;
  const char* option;
};
constexpr std::array kDrivers = {Driver{"ext2", "ext4", "noload"},
                                 Driver{"ext3", "ext4", "noload"},
                                 Driver{"ext4", "ext4", "noload"},
                                 Driver{"xfs", "xfs", "norecovery"},
                                 Driver{"btrfs", "btrfs", "rescue=nologreplay"},
                                 Driver{"vfat", "vfat", nullptr}};

struct Partition {
  unsigned number = 0;
  std::uint64_t start = 0, size = 0;  // bytes
  bool gpt = false;
  VolumeRole role = VolumeRole::other;
};

bool same_text(const char* one, const char* other) {
  return one != nullptr && ::strcasecmp(one, other) == 0;
}

VolumeRole role_of(blkid_partition partition, bool gpt) {
  if (gpt) {
    const char* const type = blkid_partition_get_type_string(partition);
    if (same_text(type, kSystemGpt)) return VolumeRole::system;
    return same_text(type, kExtendedGpt) ? VolumeRole::extended : VolumeRole::other;
  }
  const int type = blkid_partition_get_type(partition);
  if (type == kSystemMbr) return VolumeRole::system;
  return type == kExtendedMbr ? VolumeRole::extended : VolumeRole::other;
}

// Those of the table, or the disk itself as number 0 where it has none.
Result<std::vector<Partition>> partitions_of(int fd, const std::string& device) {
  INGOT_TRY_ASSIGN(const BlkidProbe probe, probe_partitions_of(fd, device));
  blkid_partlist list = blkid_probe_get_partitions(probe.get());
  blkid_parttable table = list != nullptr ? blkid_partlist_get_table(list) : nullptr;
  std::vector<Partition> found;
  if (table == nullptr) {
    found.push_back({});
    return found;
  }
  const bool gpt = same_text(blkid_parttable_get_type(table), "gpt");
  const int count = blkid_partlist_numof_partitions(list);
  for (int i = 0; i < count && found.size() < kMostVolumes; ++i) {
    blkid_partition each = blkid_partlist_get_partition(list, i);
    const int number = blkid_partition_get_partno(each);
    const auto start =
        checked_mul(static_cast<std::uint64_t>(blkid_partition_get_start(each)), kBlkidSector);
    const auto size =
        checked_mul(static_cast<std::uint64_t>(blkid_partition_get_size(each)), kBlkidSector);
    if (number < 1 || blkid_partition_is_extended(each) != 0 || !start || !size) continue;
    found.push_back({static_cast<unsigned>(number), *start, *size, gpt, role_of(each, gpt)});
  }
  return found;
}

// The kernel's name of a partition of the disk behind `fd`: "sda1". Names come from sysfs, where
// '!' stands for '/'.
std::optional<std::string> node_of(int fd, unsigned number, const std::filesystem::path& sysfs) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISBLK(facts.st_mode)) return std::nullopt;
  std::error_code error;
  const auto folder = std::filesystem::canonical(
      sysfs / "dev/block" / fmt::format("{}:{}", major(facts.st_rdev), minor(facts.st_rdev)),
      error);
  if (error) return std::nullopt;
  std::string name;
  if (number == 0) name = folder.filename();
  for (std::filesystem::directory_iterator each(folder, error), end; !error && each != end;
       each.increment(error))
    if (number != 0 && read_number(each->path() / "partition") == number)
      name = each->path().filename();
  if (name.empty()) return std::nullopt;
  std::ranges::replace(name, '!', '/');
  return name;
}

// A block device to be mounted. A loop device is gone with the last that has it open: this
// descriptor, or the mount.
struct Source {
  std::string node;
  UniqueFd loop;
};

// A loop device on a stretch of the disk, for a partition that the kernel has no device of: it may
// not know this kind of table.
std::optional<Source> loop_on(int fd, const Partition& partition,
                              const std::filesystem::path& dev) {
  constexpr int kTries = 16;  // others take loop devices as well
  const UniqueFd control(::open((dev / "loop-control").c_str(), O_RDWR | O_CLOEXEC));
  for (int tries = 0; control && tries < kTries; ++tries) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) break;
    Source source;
    source.node = dev / fmt::format("loop{}", number);
    source.loop = UniqueFd(::open(source.node.c_str(), O_RDONLY | O_CLOEXEC));
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(fd);
    config.info.lo_offset = partition.start;
    config.info.lo_sizelimit = partition.size;
    config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    if (!source.loop) break;
    if (::ioctl(source.loop.get(), LOOP_CONFIGURE, &config) == 0) return source;
    if (errno != EBUSY) break;
  }
  return std::nullopt;
}

std::optional<Source> source_of(int fd, const Partition& partition,
                                const std::filesystem::path& sysfs,
                                const std::filesystem::path& dev) {
  const auto name = node_of(fd, partition.number, sysfs);
  if (name) return Source{dev / *name, {}};
  if (partition.number == 0) return std::nullopt;
  return loop_on(fd, partition, dev);
}

struct FileSystem {
  std::string type, uuid, label;
};

// libblkid itself refuses what has the marks of two file systems.
std::optional<FileSystem> file_system_on(const UniqueFd& device) {
  const BlkidProbe probe = probe_of(device.get());
  if (!probe) return std::nullopt;
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(),
                                    BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE);
  if (blkid_do_safeprobe(probe.get()) != 0) return std::nullopt;
  return FileSystem{value_of(probe, "TYPE"), value_of(probe, "UUID"), value_of(probe, "LABEL")};
}

bool configure(int context, const char* key, const char* value) {
  return ::fsconfig(context, value != nullptr ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value,
                    0) == 0;
}

// A mount that no path leads to; errno says why not.
UniqueFd mount_at_no_place(const std::string& node, const Driver& driver) {
  const UniqueFd context(::fsopen(driver.name, FSOPEN_CLOEXEC));
  if (!context || !configure(context.get(), "source", node.c_str()) ||
      !configure(context.get(), "ro", nullptr))
    return {};
  if (driver.option != nullptr) {
    const std::string_view option(driver.option);
    const auto equals = option.find('=');
    const std::string key(option.substr(0, equals));
    const std::string value(equals == std::string_view::npos ? "" : option.substr(equals + 1));
    if (!configure(context.get(), key.c_str(), value.empty() ? nullptr : value.c_str())) return {};
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
  return UniqueFd(
      ::fsmount(context.get(), FSMOUNT_CLOEXEC,
                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
}

}  // namespace

Result<MountedVolumes> mount_volumes(int fd, const std::string& device,
                                     const std::filesystem::path& sysfs,
                                     const std::filesystem::path& dev,
                                     const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const auto partitions, partitions_of(fd, device));
  MountedVolumes mounted;
  for (const Partition& partition : partitions) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "cancelled");
    const std::string name =
        partition.number == 0 ? device : fmt::format("{}, partition {}", device, partition.number);
    const auto source = source_of(fd, partition, sysfs, dev);
    if (!source) {
      mounted.left_out.push_back(
          fmt::format("partition {}: it has no device, and no loop device "
                      "can be made",
                      partition.number));
      continue;
    }
    const UniqueFd volume(::open(source->node.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!volume) {
      mounted.left_out.push_back(
          fmt::format("partition {}: {}", partition.number, std::strerror(errno)));
      continue;
    }
    auto found = file_system_on(volume);
    const auto* const driver =
        std::ranges::find(kDrivers, found ? found->type : std::string(), &Driver::type);
    if (driver == kDrivers.end()) {
      mounted.left_out.push_back(
          fmt::format("partition {}: {}", partition.number,
                      found && !found->type.empty() ? found->type : "no file system"));
      continue;
    }
    UniqueFd tree = mount_at_no_place(source->node, *driver);
    if (!tree) {
      const int error = errno;
      mounted.left_out.push_back(fmt::format("partition {} ({}): {}", partition.number, found->type,
                                             std::strerror(error)));
      continue;
    }
    FileTree files(std::move(tree), name);
    // A filter of system calls may leave openat2(2) out: nothing would then seem to be there.
    if (files.kind("/") == FileTree::Kind::none) {
      mounted.left_out.push_back(
          fmt::format("partition {}: {}", partition.number, std::strerror(errno)));
      continue;
    }
    mounted.volumes.push_back({std::move(files), partition.number, partition.gpt, partition.role,
                               std::move(found->uuid), std::move(found->label)});
  }
  return mounted;
}

}  // namespace ingot::disk
