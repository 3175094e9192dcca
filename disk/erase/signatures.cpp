#include "disk/erase/signatures.hpp"

#include <blkid/blkid.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <string_view>

#include "disk/core/units.hpp"
#include "disk/erase/watch.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kUnit = 512;  // libblkid counts partitions in these, whatever the sectors

using Probe = std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)>;

Result<Probe> make_probe(const Stretch& where, Watch& watch) {
  Probe probe(blkid_new_probe(), &blkid_free_probe);
  const auto request = watch.request(where.offset);
  if (!probe ||
      blkid_probe_set_device(probe.get(), where.fd, static_cast<blkid_loff_t>(where.offset),
                             static_cast<blkid_loff_t>(where.length)) != 0 ||
      blkid_probe_set_sectorsize(probe.get(), where.sector) != 0)
    return fail(Errc::write_erase,
                fmt::format("looking at byte {}: libblkid refuses", where.offset),
                "check the disk's health (dmesg)");
  return probe;
}

std::string_view value_of(blkid_probe probe, const char* key) {
  const char* data = nullptr;
  std::size_t length = 0;  // counts the terminating zero
  if (blkid_probe_lookup_value(probe, key, &data, &length) != 0 || length == 0) return {};
  return {data, length - 1};
}

std::string type_of(blkid_partition partition) {
  if (const char* text = blkid_partition_get_type_string(partition); text != nullptr) {
    std::string type(text);
    std::ranges::transform(type, type.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return type;
  }
  return fmt::format("{:#04x}", blkid_partition_get_type(partition));
}

}  // namespace

Result<std::vector<Magic>> find_signatures(const Stretch& where, std::size_t limit, Watch& watch) {
  INGOT_TRY_ASSIGN(const Probe probe, make_probe(where, watch));
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_TYPE |
                                                     BLKID_SUBLKS_USAGE | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);

  std::vector<Magic> found;
  while (found.size() < limit) {
    if (watch.stop().stop_requested()) return fail(Errc::cancelled, "looking for signatures");
    const auto request = watch.request(where.offset);
    const int got = blkid_do_probe(probe.get());
    if (got == 1) return found;  // nothing more
    if (got != 0)
      return fail(Errc::write_erase,
                  fmt::format("looking for signatures in {} from byte {} on failed",
                              format_bytes(where.length), where.offset),
                  "check the disk's health (dmesg, smartctl)");
    const bool table = blkid_probe_has_value(probe.get(), "PTMAGIC_OFFSET") != 0;
    const auto offset = value_of(probe.get(), table ? "PTMAGIC_OFFSET" : "SBMAGIC_OFFSET");
    std::uint64_t at = 0;
    const auto parsed = std::from_chars(offset.data(), offset.data() + offset.size(), at);
    // What has no magic string cannot be wiped, and is not what wipefs lists either.
    if (offset.empty() || parsed.ec != std::errc() || at >= where.length) continue;
    found.push_back(
        {where.offset + at, std::string(value_of(probe.get(), table ? "PTTYPE" : "TYPE"))});
    // In memory only: the probe looks again, and does not see this one any more.
    if (blkid_do_wipe(probe.get(), 1) != 0)
      return fail(Errc::internal_bug, "libblkid cannot hide a signature");
  }
  return found;
}

Result<std::vector<TableEntry>> find_partitions(const Stretch& where, bool gpt_only,
                                                std::string& kind, Watch& watch) {
  kind.clear();
  INGOT_TRY_ASSIGN(const Probe probe, make_probe(where, watch));
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_FORCE_GPT);
  char gpt[] = "gpt";
  char* only[] = {gpt, nullptr};
  if (gpt_only) blkid_probe_filter_partitions_type(probe.get(), BLKID_FLTR_ONLYIN, only);
  const auto request = watch.request(where.offset);
  const blkid_partlist list = blkid_probe_get_partitions(probe.get());
  std::vector<TableEntry> found;
  if (list == nullptr) return found;
  if (const blkid_parttable table = blkid_partlist_get_table(list); table != nullptr)
    kind = blkid_parttable_get_type(table);
  const int count = blkid_partlist_numof_partitions(list);
  for (int i = 0; i < count; ++i) {
    const blkid_partition partition = blkid_partlist_get_partition(list, i);
    if (partition == nullptr) continue;
    const auto offset =
        checked_mul(static_cast<std::uint64_t>(blkid_partition_get_start(partition)), kUnit);
    const auto length =
        checked_mul(static_cast<std::uint64_t>(blkid_partition_get_size(partition)), kUnit);
    if (!offset) continue;
    // An end beyond all numbers is one beyond the disk.
    found.push_back({*offset, length.value_or(UINT64_MAX), blkid_partition_get_partno(partition),
                     type_of(partition), blkid_partition_is_extended(partition) == 1});
  }
  return found;
}

}  // namespace ingot::disk
