#include "imaging/filesystem_probe.hpp"

#include <blkid/blkid.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "disk/core/unique_fd.hpp"
#include "disk/core/units.hpp"

namespace ingot::imaging {
namespace {

std::string_view value_of(blkid_probe probe, const char* key) {
  const char* data = nullptr;
  std::size_t length = 0;  // counts the terminating zero
  if (blkid_probe_lookup_value(probe, key, &data, &length) != 0 || length == 0) return {};
  return {data, length - 1};
}

// A disk's start goes on as a hole: libblkid also looks at a disk's end, where it must not find the
// end of that start.
constexpr std::uint64_t kDiskSize = 1024 * GiB;

/// A file in memory of `size` bytes that starts with `head`.
Result<UniqueFd> as_file(std::span<const std::byte> head, std::uint64_t size) {
  UniqueFd fd(::memfd_create("ingot-probe", MFD_CLOEXEC));
  if (!fd) return tl::unexpected(system_error(Errc::internal_bug, "memfd_create", errno));
  for (std::size_t done = 0; done < head.size();) {
    const auto written =
        ::pwrite(fd.get(), head.data() + done, head.size() - done, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return tl::unexpected(system_error(Errc::internal_bug, "memfd", errno));
    done += static_cast<std::size_t>(written);
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return tl::unexpected(system_error(Errc::internal_bug, "memfd", errno));
  return fd;
}

using Probe = std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)>;

Result<Probe> make_probe(int fd, int wanted) {
  Probe probe(blkid_new_probe(), &blkid_free_probe);
  if (!probe || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0 ||
      blkid_probe_enable_superblocks(probe.get(), 1) != 0 ||
      blkid_probe_set_superblocks_flags(probe.get(), wanted) != 0)
    return fail(Errc::internal_bug, "libblkid could not be set up");
  return probe;
}

}  // namespace

Result<FilesystemSignature> find_filesystem(std::span<const std::byte> head) {
  // NTFS as Windows lays it out keeps its master file table, which libblkid wants to see, gigabytes
  // behind the boot sector.
  if (head.size() >= 512 && std::memcmp(head.data() + 3, "NTFS    ", 8) == 0 &&
      head[510] == std::byte{0x55} && head[511] == std::byte{0xaa})
    return FilesystemSignature{"ntfs", true};

  INGOT_TRY_ASSIGN(const UniqueFd file, as_file(head, kDiskSize));
  INGOT_TRY_ASSIGN(const Probe probe,
                   make_probe(file.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE));
  FilesystemSignature found;
  while (blkid_do_probe(probe.get()) == 0) {
    const auto usage = value_of(probe.get(), "USAGE");
    const bool usable = usage == "filesystem" || usage == "raid";
    if (!found.type.empty() && !usable) continue;
    found = {std::string(value_of(probe.get(), "TYPE")), usable};
    if (usable) break;
  }
  return found;
}

Result<std::optional<Volume>> find_volume(std::span<const std::byte> image) {
  INGOT_TRY_ASSIGN(const UniqueFd file, as_file(image, image.size()));
  INGOT_TRY_ASSIGN(const Probe probe,
                   make_probe(file.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL));
  while (blkid_do_probe(probe.get()) == 0) {
    const auto type = value_of(probe.get(), "TYPE");
    if (type == "iso9660" || type == "vfat")
      return Volume{type == "vfat", std::string(value_of(probe.get(), "LABEL"))};
  }
  return std::nullopt;
}

}  // namespace ingot::imaging
