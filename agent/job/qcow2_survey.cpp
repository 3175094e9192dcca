#include "agent/job/qcow2_survey.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "disk/core/units.hpp"
#include "imaging/qcow2/endian.hpp"

namespace ingot::agent {
namespace {

using imaging::qcow2::be64;

// Source: docs/interop/qcow2.txt of QEMU 7.2, "L1 table entry", "Standard Cluster Descriptor" and
// "Compressed Clusters Descriptor".
constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00;
constexpr std::uint64_t kCompressed = 1ULL << 62;

}  // namespace

Result<std::optional<Qcow2Survey>> survey_qcow2(const imaging::qcow2::Header& header,
                                                std::optional<std::uint64_t> file_size,
                                                std::uint64_t most_bytes, const ReadAt& read) {
  const std::uint64_t cluster = header.cluster_size();
  const std::uint64_t entries =
      std::min<std::uint64_t>(header.used_l1_entries(), header.l1_entries);
  if (entries * 8 > most_bytes) return std::nullopt;
  Qcow2Survey survey;
  std::uint64_t budget = most_bytes - entries * 8;
  const std::uint64_t l1_end = header.l1_offset + entries * 8;
  std::vector<std::byte> l1(std::min<std::uint64_t>(entries * 8, 64 * KiB));
  std::vector<std::byte> l2(cluster);
  for (std::uint64_t first = 0; first < entries; first += l1.size() / 8) {
    const auto part =
        std::span(l1).first(std::min<std::uint64_t>(l1.size(), (entries - first) * 8));
    if (!read(header.l1_offset + first * 8, part)) return std::nullopt;
    for (std::size_t i = 0; i < part.size() / 8; ++i) {
      const std::uint64_t table = be64(part.data() + i * 8) & kOffsetMask;
      if (table == 0) continue;
      if (!is_aligned(table, cluster) ||
          (file_size && (table >= *file_size || *file_size - table < cluster)))
        return fail(
            Errc::image_corrupt,
            fmt::format("L1 entry {}: a table at {:#x} that is unaligned or reaches past the "
                        "end of the file",
                        first + i, table));
      if (budget < cluster) return std::nullopt;
      budget -= cluster;
      ++survey.l2_tables;
      if (!read(table, l2)) return std::nullopt;
      // Whatever the table maps can be placed once both tables have been seen whole.
      const std::uint64_t known = std::max(table + cluster, l1_end);
      std::uint64_t guest = (first + i) * header.l2_span();
      for (std::uint64_t at = 0; at < cluster && guest < header.virtual_size;
           at += header.l2_entry_size(), guest += cluster) {
        const std::uint64_t entry = be64(l2.data() + at);
        const std::uint64_t mask = (entry & kCompressed) != 0
                                       ? (1ULL << (62 - (header.cluster_bits - 8))) - 1
                                       : kOffsetMask;
        const std::uint64_t host = entry & mask;
        if (host != 0 && host < known)
          survey.longest_hold = std::max(survey.longest_hold, known - host);
      }
    }
  }
  return survey;
}

}  // namespace ingot::agent
