#include "imaging/qcow2/table_index.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "imaging/qcow2/endian.hpp"

namespace ingot::imaging::qcow2 {
namespace {

constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00ULL;

tl::unexpected<Error> corrupt(const std::string& what) {
  return fail(Errc::image_corrupt, "qcow2: " + what,
              "the image is damaged; check it with qemu-img check, fetch or build it again");
}

}  // namespace

Fingerprint fingerprint(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  Fingerprint print{};
  std::transform(digest.begin(), digest.begin() + print.size(), print.begin(),
                 [](unsigned char byte) { return std::byte{byte}; });
  return print;
}

Result<void> TableIndex::feed(std::span<const std::byte> bytes,
                              std::optional<std::uint64_t> file_size, const ZeroRange& zero) {
  // Address space only: pages are taken as entries come, and no list is ever copied to grow.
  if (next_entry_ == 0) tables_.reserve(header_.used_l1_entries());
  for (std::size_t at = 0; at + 8 <= bytes.size() && !complete_; at += 8) {
    const std::uint64_t host = be64(&bytes[at]) & kOffsetMask;
    const std::uint64_t guest = next_entry_ * header_.l2_span();
    if (host != 0) {
      if (!is_aligned(host, header_.cluster_size()))
        return corrupt(
            fmt::format("L1 entry {} has L2 table offset {:#x}, which is not aligned to "
                        "the cluster size {}",
                        next_entry_, host, header_.cluster_size()));
      if (host < header_.cluster_size())
        return corrupt(
            fmt::format("L1 entry {} has L2 table offset {:#x}, which overlaps the "
                        "header",
                        next_entry_, host));
      if (file_size && host + header_.cluster_size() > *file_size)
        return corrupt(fmt::format(
            "L1 entry {} has L2 table offset {:#x}, {} the end of the file ({} bytes)", next_entry_,
            host, host < *file_size ? "from where the table reaches past" : "past", *file_size));
      if (guest > zero_from_) INGOT_TRY(zero(zero_from_, guest - zero_from_));
      zero_from_ = guest + header_.l2_span();
      tables_.push_back({host, static_cast<std::uint32_t>(next_entry_)});
    }
    ++next_entry_;
    if (next_entry_ == header_.used_l1_entries()) {
      if (zero_from_ < header_.virtual_size)
        INGOT_TRY(zero(zero_from_, header_.virtual_size - zero_from_));
      INGOT_TRY(finish());
    }
  }
  return {};
}

Result<void> TableIndex::finish() {
  std::sort(tables_.begin(), tables_.end(),
            [](const Table& a, const Table& b) { return a.host < b.host; });
  const auto twice =
      std::adjacent_find(tables_.begin(), tables_.end(),
                         [](const Table& a, const Table& b) { return a.host == b.host; });
  if (twice != tables_.end())
    return corrupt(fmt::format("L1 entries {} and {} have overlapping L2 tables at {:#x}",
                               twice->l1_index, std::next(twice)->l1_index, twice->host));
  if (keeps_fingerprints()) prints_.resize(tables_.size());
  complete_ = true;
  return {};
}

void TableIndex::remember(std::size_t index, const Fingerprint& print) {
  if (keeps_fingerprints()) prints_[index] = print;
}

}  // namespace ingot::imaging::qcow2
