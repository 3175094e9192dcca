#include "disk/boot/boot_entries.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "disk/boot/boot_manager.hpp"
#include "disk/boot/fat_tree.hpp"
#include "disk/boot/loaders.hpp"
#include "disk/boot/system_partition.hpp"
#include "disk/inventory/attribute.hpp"
#include "disk/open_for_reading.hpp"

namespace ingot::disk {
namespace {

constexpr const char* kFolder = "EFI";

// What UEFI calls the machine code that the firmware runs; a 32 bit one may have started a 64 bit
// kernel. Source: UEFI 2.10, 3.5.1.1; Documentation/ABI/testing/sysfs-firmware-efi.
std::string_view firmware_architecture([[maybe_unused]] const std::filesystem::path& firmware) {
#if defined(__x86_64__) || defined(__i386__)
  return read_number(firmware / "fw_platform_size") == 32U ? "ia32" : "x64";
#elif defined(__aarch64__)
  return "aa64";
#elif defined(__arm__)
  return "arm";
#elif defined(__riscv)
  return __riscv_xlen == 32 ? "riscv32" : "riscv64";
#else
  return "";
#endif
}

// The disk, open for libblkid and mtools, which read at any alignment.
Result<UniqueFd> open_disk(const std::string& device) {
  INGOT_TRY_ASSIGN(const ReadableTarget checked, open_for_reading(device));
  if (!checked.target.block_device)
    return fail(Errc::device_unsuitable, device + " is a file, from which no firmware starts",
                "name a whole disk such as /dev/sda");
  const std::string same = fmt::format("/proc/self/fd/{}", checked.target.fd.get());
  UniqueFd fd(::open(same.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return tl::unexpected(system_error(Errc::device_permission, "opening " + device, errno));
  return fd;
}

Result<Loaders> look_at(int fd, const SystemPartition& partition, const std::string& device,
                        std::string_view architecture, const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const FatTree tree,
                   FatTree::open(fd, partition.offset,
                                 fmt::format("{}: partition {}", device, partition.number)));
  INGOT_TRY_ASSIGN(auto files, tree.files(kFolder, stop));
  INGOT_TRY_ASSIGN(Loaders found, find_loaders(std::move(files), architecture,
                                               [&tree, &stop](const std::string& path) {
                                                 return tree.read(path, kMostCsvBytes, stop);
                                               }));
  for (BootEntry& entry : found.entries) entry.partition = partition.number;
  return found;
}

// Of the first EFI system partition that has loaders. One that cannot be read matters only where no
// other has any.
Result<Loaders> find_on_disk(const std::string& device, const BootEntriesOptions& options,
                             std::string_view architecture, const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const UniqueFd fd, open_disk(device));
  INGOT_TRY_ASSIGN(const auto partitions,
                   find_system_partitions(fd.get(), options.partition_uuid, device));
  std::optional<Error> unreadable;
  for (const SystemPartition& partition : partitions) {
    auto found = look_at(fd.get(), partition, device, architecture, stop);
    if (found && !found->entries.empty()) return found;
    if (found) continue;
    if (found.error().code() != Errc::device_unsuitable) return found;
    if (!unreadable) unreadable = found.error();
  }
  if (unreadable) return tl::unexpected(*unreadable);
  return Loaders{};
}

}  // namespace

Result<BootEntries> make_boot_entries(const std::string& device, const BootEntriesOptions& options,
                                      std::stop_token stop) {
  const std::filesystem::path firmware = options.sysfs / "firmware" / "efi";
  std::error_code ignored;
  if (!std::filesystem::exists(firmware, ignored)) return BootEntries{};
  INGOT_TRY_ASSIGN(const BootManager manager, BootManager::find(options.efibootmgr));
  INGOT_TRY_ASSIGN(Loaders found,
                   find_on_disk(device, options, firmware_architecture(firmware), stop));
  BootEntries made{found.outcome, std::move(found.csv), {}, {}};
  if (found.entries.empty()) return made;

  INGOT_TRY_ASSIGN(const auto existing, manager.list(stop));
  for (const FirmwareEntry& old : existing) {
    const bool replaced = std::ranges::any_of(
        found.entries, [&old](const BootEntry& entry) { return entry.label == old.label; });
    // An image chooses its label: it must not take the machine's network boot away with it.
    if (!replaced || !old.on_partition()) continue;
    INGOT_TRY(manager.remove(old, stop));
    made.removed.push_back(fmt::format("Boot{} {}", old.number, old.label));
  }
  // Each new entry goes in front of all others.
  for (auto entry = found.entries.rbegin(); entry != found.entries.rend(); ++entry)
    INGOT_TRY(manager.create(device, *entry, stop));
  made.created = std::move(found.entries);
  return made;
}

}  // namespace ingot::disk
