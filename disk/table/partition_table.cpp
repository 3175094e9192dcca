#include "disk/table/partition_table.hpp"

#include <fmt/format.h>
#include <libfdisk/libfdisk.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "disk/core/release.hpp"
#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr const char* kLinuxFilesystem = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
constexpr unsigned kFat32Lba = 0x0c;
constexpr std::uint64_t kMbrSectors = 0xFFFFFFFFULL;  // what 32 bits address
constexpr std::size_t kPrimaries = 4;
constexpr std::uint64_t kMostSectors = 1ULL << 48;  // times 4096 that is still a number of bytes

using Context = std::unique_ptr<fdisk_context, Release<fdisk_unref_context>>;
using Table = std::unique_ptr<fdisk_table, Release<fdisk_unref_table>>;
using Iterator = std::unique_ptr<fdisk_iter, Release<fdisk_free_iter>>;
using Entry = std::unique_ptr<fdisk_partition, Release<fdisk_unref_partition>>;

// libfdisk's remarks are for people at a terminal; what matters comes back as a return code.
int be_quiet(fdisk_context*, fdisk_ask*, void*) {
  return 0;
}

std::string text(const char* value) {
  return value != nullptr ? value : "";
}

Error no_memory() {
  return Error(Errc::internal_bug, "reading the partition table: libfdisk has no memory");
}

std::string type_of(fdisk_partition* entry) {
  const fdisk_parttype* type = fdisk_partition_get_type(entry);
  if (type == nullptr) return {};
  if (const char* guid = fdisk_parttype_get_string(type); guid != nullptr) return guid;
  return fmt::format("0x{:02x}", fdisk_parttype_get_code(type));
}

}  // namespace

std::string_view name(TableKind kind) noexcept {
  return kind == TableKind::gpt ? "gpt" : kind == TableKind::dos ? "dos" : "none";
}

struct PartitionTable::Impl {
  // A stretch of sectors, ends included.
  struct Gap {
    std::uint64_t first, last;
  };

  Result<void> read(const ShadowDisk& disk, std::uint32_t bytes) {
    sector = bytes;
    sectors = disk.size() / sector;
    context.reset(fdisk_new_context());
    if (!context) return tl::unexpected(no_memory());
    fdisk_set_ask(context.get(), be_quiet, nullptr);
    fdisk_disable_dialogs(context.get(), 1);
    fdisk_save_user_sector_size(context.get(), sector, sector);
    fdisk_save_user_grain(context.get(), MiB);
    if (fdisk_assign_device_by_fd(context.get(), disk.fd(), "partition table", 0) != 0) return {};
    kind = fdisk_is_label(context.get(), GPT)   ? TableKind::gpt
           : fdisk_is_label(context.get(), DOS) ? TableKind::dos
                                                : TableKind::none;
    if (kind == TableKind::none) return {};
    if (char* id = nullptr; fdisk_get_disklabel_id(context.get(), &id) == 0 && id != nullptr) {
      identifier = id;
      std::free(id);
      std::ranges::transform(identifier, identifier.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    }
    return list();
  }

  Result<void> list() {
    partitions.clear();
    behind.reset();
    fdisk_table* raw = nullptr;
    if (fdisk_get_partitions(context.get(), &raw) != 0) return {};
    const Table table(raw);
    each(table.get(), [this](fdisk_partition* entry) {
      if (fdisk_partition_has_start(entry) == 0 || fdisk_partition_has_size(entry) == 0) return;
      const std::uint64_t first = fdisk_partition_get_start(entry);
      const std::uint64_t count = fdisk_partition_get_size(entry);
      Partition found;
      found.number = static_cast<unsigned>(fdisk_partition_get_partno(entry)) + 1;
      found.offset = first * sector;
      found.size = count * sector;
      if (first >= sectors || count > sectors - first) {
        if (first <= kMostSectors && count <= kMostSectors) behind = std::move(found);
        return;
      }
      found.type = type_of(entry);
      found.uuid = text(fdisk_partition_get_uuid(entry));
      found.name = text(fdisk_partition_get_name(entry));
      found.attributes = text(fdisk_partition_get_attrs(entry));
      found.container = fdisk_partition_is_container(entry) != 0;
      partitions.push_back(std::move(found));
    });
    std::ranges::sort(partitions, {}, &Partition::number);
    return {};
  }

  template <class Do>
  static void each(fdisk_table* table, Do act) {
    const Iterator iterator(fdisk_new_iter(FDISK_ITER_FORWARD));
    if (!iterator) return;
    for (fdisk_partition* entry = nullptr;
         fdisk_table_next_partition(table, iterator.get(), &entry) == 0;)
      act(entry);
  }

  // Gaps in which a partition may lie, by their place.
  std::vector<Gap> gaps() {
    std::vector<Gap> found;
    fdisk_table* raw = nullptr;
    if (fdisk_get_freespaces(context.get(), &raw) != 0) return found;
    const Table table(raw);
    each(table.get(), [&](fdisk_partition* entry) {
      if (fdisk_partition_has_start(entry) == 0 || fdisk_partition_has_size(entry) == 0) return;
      Gap gap{fdisk_partition_get_start(entry), 0};
      const std::uint64_t count = fdisk_partition_get_size(entry);
      if (count == 0 || gap.first >= sectors) return;
      gap.last = gap.first + std::min(count, sectors - gap.first) - 1;
      // libfdisk lists what is free inside the extended partition as well.
      if (std::ranges::any_of(partitions, [&](const Partition& partition) {
            return partition.container && gap.first * sector >= partition.offset &&
                   gap.first * sector < partition.offset + partition.size;
          }))
        return;
      if (kind == TableKind::dos) gap.last = std::min(gap.last, kMbrSectors - 1);
      if (gap.first <= gap.last) found.push_back(gap);
    });
    std::ranges::sort(found, {}, &Gap::first);
    return found;
  }

  // The place of a partition of `size` bytes at the end of a gap, or nothing.
  [[nodiscard]] std::optional<Gap> place(const Gap& gap, std::uint64_t size) const {
    const std::uint64_t count = align_up(size, sector) / sector;
    const std::uint64_t step = MiB / sector;
    // At whole MiB where that fits, and else to the last sector.
    for (const std::uint64_t end : {align_down(gap.last + 1, step), gap.last + 1}) {
      if (end < count) continue;
      const std::uint64_t first = align_down(end - count, step);
      if (first >= gap.first && end > first) return Gap{first, end - 1};
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::size_t> free_primary() const {
    for (std::size_t n = 0; n < kPrimaries; ++n)
      if (fdisk_is_partition_used(context.get(), n) == 0) return n;
    return std::nullopt;
  }

  Context context;
  std::uint32_t sector = 512;
  std::uint64_t sectors = 0;
  TableKind kind = TableKind::none;
  std::string identifier;
  std::vector<Partition> partitions;
  std::optional<Partition> behind;
};

PartitionTable::PartitionTable(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PartitionTable::PartitionTable(PartitionTable&&) noexcept = default;
PartitionTable& PartitionTable::operator=(PartitionTable&&) noexcept = default;
PartitionTable::~PartitionTable() = default;

Result<PartitionTable> PartitionTable::open(const ShadowDisk& disk, std::uint32_t sector) {
  auto impl = std::make_unique<Impl>();
  INGOT_TRY(impl->read(disk, sector));
  return PartitionTable(std::move(impl));
}

TableKind PartitionTable::kind() const noexcept {
  return impl_->kind;
}
const std::string& PartitionTable::identifier() const noexcept {
  return impl_->identifier;
}
const std::vector<Partition>& PartitionTable::partitions() const noexcept {
  return impl_->partitions;
}
const std::optional<Partition>& PartitionTable::behind_disk() const noexcept {
  return impl_->behind;
}

Result<Partition> PartitionTable::add(std::uint64_t wanted, std::uint64_t least,
                                      const std::string& name) {
  if (impl_->kind == TableKind::none)
    return fail(Errc::device_no_room,
                "the image has no partition table, so it can get no partition for a config drive",
                "use an image of a whole disk, or leave the config drive out");
  fdisk_context* context = impl_->context.get();
  const Entry entry(fdisk_new_partition());
  if (!entry) return tl::unexpected(no_memory());
  const fdisk_label* label = fdisk_get_label(context, nullptr);
  if (impl_->kind == TableKind::dos) {
    const auto slot = impl_->free_primary();
    if (!slot)
      return fail(
          Errc::device_no_room,
          "the image's MBR has four primary partitions, so none can be added for the config "
          "drive",
          "use an image with a GPT, or one that has a partition labelled config-2");
    fdisk_partition_set_partno(entry.get(), *slot);
    fdisk_partition_set_type(entry.get(), fdisk_label_get_parttype_from_code(label, kFat32Lba));
  } else {
    fdisk_partition_partno_follow_default(entry.get(), 1);
    fdisk_partition_set_name(entry.get(), name.c_str());
    fdisk_partition_set_type(entry.get(),
                             fdisk_label_get_parttype_from_string(label, kLinuxFilesystem));
  }
  const auto gaps = impl_->gaps();
  std::optional<Impl::Gap> place;
  for (const std::uint64_t size : {wanted, least})
    for (auto gap = gaps.rbegin(); gap != gaps.rend() && !place; ++gap)
      place = impl_->place(*gap, size);
  if (!place)
    return fail(Errc::device_no_room,
                fmt::format("no gap of {} between the partitions or behind them, which the config "
                            "drive needs",
                            format_bytes(least)),
                "use a larger disk, or an image that has a partition labelled config-2");
  fdisk_partition_set_start(entry.get(), place->first);
  fdisk_partition_set_size(entry.get(), place->last - place->first + 1);
  fdisk_partition_size_explicit(entry.get(), 1);
  std::size_t number = 0;
  if (const int rc = fdisk_add_partition(context, entry.get(), &number); rc != 0)
    return fail(
        Errc::device_no_room,
        fmt::format("adding a partition for the config drive: {}", std::strerror(-rc)),
        "use an image with free entries in its partition table, or one that has a partition "
        "labelled config-2");
  INGOT_TRY(impl_->list());
  const auto added = std::ranges::find(impl_->partitions, number + 1, &Partition::number);
  if (added == impl_->partitions.end())
    return fail(Errc::internal_bug, "an added partition is not in the table");
  return *added;
}

Result<void> PartitionTable::write() {
  const int rc = fdisk_write_disklabel(impl_->context.get());
  if (rc == 0) return {};
  return fail(
      Errc::image_corrupt,
      fmt::format("the image's partition table cannot be written again: {}", std::strerror(-rc)),
      "check the image with sgdisk --verify or sfdisk --verify, and rebuild it");
}

}  // namespace ingot::disk
