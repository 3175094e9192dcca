#include "imaging/qcow2/claims.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "disk/core/units.hpp"
#include "imaging/qcow2/endian.hpp"

namespace ingot::imaging::qcow2 {
namespace {

constexpr std::uint64_t kCompressedFlag = 1ULL << 62;
constexpr std::uint64_t kZeroFlag = 1ULL << 0;
constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00ULL;
constexpr std::uint64_t kSector = 512;
constexpr unsigned kSubclusters = 32;

// Builds the claims of one table, joining neighbours, and collects zero runs likewise.
class TableReader {
 public:
  TableReader(const Header& header, std::uint64_t host, std::optional<std::uint64_t> file_size,
              const ZeroRange& zero)
      : header_(header), host_(host), file_size_(file_size), zero_(zero) {}

  Result<void> entry(std::size_t index, std::uint64_t entry, std::uint64_t bitmap,
                     std::uint64_t guest) {
    index_ = index;
    // What the last table says about guests behind the disk's end nobody reads, nor judges.
    if (guest >= header_.virtual_size) return {};
    if ((entry & kCompressedFlag) != 0) return compressed(entry, guest);
    const std::uint64_t cluster = entry & kOffsetMask;
    if (header_.extended_l2) return subclusters(cluster, bitmap, guest);
    if ((entry & kZeroFlag) != 0) {
      if (header_.version < 3) return corrupt("is a zero cluster, which version 2 does not have");
      INGOT_TRY(add_zero(guest, header_.cluster_size()));
      if (cluster == 0) return {};
      return standard(ClaimKind::skip, cluster, 0, header_.cluster_size(), guest);
    }
    if (cluster == 0) return add_zero(guest, header_.cluster_size());
    return standard(ClaimKind::data, cluster, 0, header_.cluster_size(), guest);
  }

  Result<std::vector<Claim>> finish() {
    INGOT_TRY(flush_zero());
    return std::move(claims_);
  }

 private:
  tl::unexpected<Error> corrupt(const std::string& what) const {
    return fail(Errc::image_corrupt,
                fmt::format("qcow2: L2 entry {} of the table at {:#x} {}", index_, host_, what),
                "the image is damaged; check it with qemu-img check, fetch or build it again");
  }

  // [cluster + from, cluster + from + length) of the file holds the guest bytes from `guest`.
  Result<void> standard(ClaimKind kind, std::uint64_t cluster, std::uint64_t from,
                        std::uint64_t length, std::uint64_t guest) {
    if (!is_aligned(cluster, header_.cluster_size()))
      return corrupt(
          fmt::format("has host offset {:#x}, which is not aligned to the cluster size "
                      "{}",
                      cluster, header_.cluster_size()));
    if (cluster < header_.cluster_size())
      return corrupt(fmt::format("has host offset {:#x}, which overlaps the header", cluster));
    const std::uint64_t start = cluster + from;
    // Only what lies inside the virtual disk has to be there: an image's last cluster may be cut.
    std::uint64_t used = length;
    if (kind == ClaimKind::data)
      used = guest >= header_.virtual_size ? 0 : std::min(length, header_.virtual_size - guest);
    if (used > 0) {
      // The file's last cluster may be short: its missing rest reads as zeros.
      if (kind == ClaimKind::data && file_size_ && cluster >= *file_size_)
        return corrupt(fmt::format("has host offset {:#x}, past the end of the file ({} bytes)",
                                   cluster, *file_size_));
      push({start, guest, static_cast<std::uint32_t>(used), kind});
    }
    if (used < length)
      push(
          {start + used, guest + used, static_cast<std::uint32_t>(length - used), ClaimKind::skip});
    return {};
  }

  // A subcluster bitmap, which it should not have, says nothing about it.
  Result<void> compressed(std::uint64_t entry, std::uint64_t guest) {
    const unsigned offset_bits = 62 - (header_.cluster_bits - 8);
    const std::uint64_t start = entry & ((1ULL << offset_bits) - 1);
    const std::uint64_t more_sectors = (entry & ~kCompressedFlag & ~(1ULL << 63)) >> offset_bits;
    // more_sectors has at most 13 bits, so none of this can wrap. The last sector of the file need
    // not be whole.
    const std::uint64_t end = align_down(start, kSector) + (more_sectors + 1) * kSector;
    if (start < header_.cluster_size())
      return corrupt(fmt::format("has compressed data at {:#x}, which overlaps the header", start));
    if (start >= (1ULL << 56))
      return corrupt(fmt::format("has compressed data at {:#x}, which is out of range", start));
    if (file_size_ && start >= *file_size_)
      return corrupt(fmt::format(
          "has compressed data at {:#x}, past the end of the file ({} bytes)", start, *file_size_));
    claims_.push_back(
        {start, guest, static_cast<std::uint32_t>(end - start), ClaimKind::compressed});
    return {};
  }

  // Extended L2 entry: bit n of `bitmap` says that subcluster n is allocated, bit 32 + n that it
  // reads as zeros; both is not valid, neither means unallocated. Bit 0 of `entry` says nothing
  // here.
  Result<void> subclusters(std::uint64_t cluster, std::uint64_t bitmap, std::uint64_t guest) {
    const auto allocated = static_cast<std::uint32_t>(bitmap);
    const auto zeros = static_cast<std::uint32_t>(bitmap >> 32);
    if ((allocated & zeros) != 0)
      return corrupt(
          fmt::format("has subcluster bitmap {:#018x}: allocated and zero at once", bitmap));
    if (cluster == 0 && allocated != 0)
      return corrupt(fmt::format("has subcluster bitmap {:#018x} but no host cluster", bitmap));
    if (cluster == 0) return add_zero(guest, header_.cluster_size());
    const std::uint64_t size = header_.cluster_size() / kSubclusters;
    for (unsigned first = 0; first < kSubclusters;) {
      const bool data = (allocated >> first & 1U) != 0;
      unsigned last = first + 1;
      while (last < kSubclusters && ((allocated >> last & 1U) != 0) == data) ++last;
      const std::uint64_t from = first * size;
      const std::uint64_t length = (last - first) * size;
      if (!data) INGOT_TRY(add_zero(guest + from, length));
      INGOT_TRY(
          standard(data ? ClaimKind::data : ClaimKind::skip, cluster, from, length, guest + from));
      first = last;
    }
    return {};
  }

  void push(const Claim& claim) {
    if (!claims_.empty()) {
      Claim& last = claims_.back();
      if (last.kind == claim.kind && last.kind != ClaimKind::compressed &&
          last.end() == claim.host && last.guest + last.length == claim.guest &&
          last.length <= kMaxClaim - claim.length) {
        last.length += claim.length;
        return;
      }
    }
    claims_.push_back(claim);
  }

  Result<void> add_zero(std::uint64_t guest, std::uint64_t length) {
    if (!zero_ || guest >= header_.virtual_size) return {};
    length = std::min(length, header_.virtual_size - guest);
    if (guest == zero_start_ + zero_length_) {
      zero_length_ += length;
      return {};
    }
    INGOT_TRY(flush_zero());
    zero_start_ = guest;
    zero_length_ = length;
    return {};
  }

  Result<void> flush_zero() {
    if (zero_length_ == 0) return {};
    const std::uint64_t length = std::exchange(zero_length_, 0);
    return zero_(zero_start_, length);
  }

  const Header& header_;
  const std::uint64_t host_;
  const std::optional<std::uint64_t> file_size_;
  const ZeroRange& zero_;
  std::size_t index_ = 0;
  std::vector<Claim> claims_;
  std::uint64_t zero_start_ = 0;
  std::uint64_t zero_length_ = 0;
};

}  // namespace

void ClaimQueue::add(std::vector<Claim> claims) {
  if (claims.empty()) return;
  const auto by_host = [](const Claim& a, const Claim& b) { return a.host < b.host; };
  if (!std::is_sorted(claims.begin(), claims.end(), by_host))
    std::sort(claims.begin(), claims.end(), by_host);
  claims.shrink_to_fit();
  size_ += claims.size();
  heap_.push_back({std::move(claims), 0});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

Claim ClaimQueue::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Run& run = heap_.back();
  const Claim claim = run.claims[run.next++];
  --size_;
  if (run.next == run.claims.size())
    heap_.pop_back();
  else
    std::push_heap(heap_.begin(), heap_.end(), later);
  return claim;
}

std::uint64_t ClaimQueue::trim(std::size_t keep) {
  if (size_ <= keep) return std::numeric_limits<std::uint64_t>::max();
  // The offset of the (keep+1)-th claim: collect all offsets once. Rare (huge, scattered images).
  std::vector<std::uint64_t> hosts;
  hosts.reserve(size_);
  for (const Run& run : heap_)
    for (std::size_t i = run.next; i < run.claims.size(); ++i) hosts.push_back(run.claims[i].host);
  std::nth_element(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(keep), hosts.end());
  const std::uint64_t horizon = hosts[keep];
  hosts = {};

  std::vector<Run> kept;
  size_ = 0;
  for (Run& run : heap_) {
    const auto from = run.claims.begin() + static_cast<std::ptrdiff_t>(run.next);
    const auto to =
        std::lower_bound(from, run.claims.end(), horizon,
                         [](const Claim& claim, std::uint64_t host) { return claim.host < host; });
    if (from == to) continue;
    std::vector<Claim> rest(from, to);
    size_ += rest.size();
    kept.push_back({std::move(rest), 0});
    run.claims = {};
  }
  heap_ = std::move(kept);
  std::make_heap(heap_.begin(), heap_.end(), later);
  return horizon;
}

Result<std::vector<Claim>> parse_l2(const Header& header, std::span<const std::byte> table,
                                    std::uint64_t host, std::uint64_t guest,
                                    std::optional<std::uint64_t> file_size, const ZeroRange& zero) {
  TableReader reader(header, host, file_size, zero);
  const std::size_t entry_size = header.l2_entry_size();
  for (std::size_t index = 0; index < header.l2_entries(); ++index) {
    const std::byte* at = table.data() + index * entry_size;
    const std::uint64_t bitmap = header.extended_l2 ? be64(at + 8) : 0;
    INGOT_TRY(reader.entry(index, be64(at), bitmap,
                           guest + (std::uint64_t{index} << header.cluster_bits)));
  }
  return reader.finish();
}

}  // namespace ingot::imaging::qcow2
