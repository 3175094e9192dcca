// StreamDecoder's out-of-order reads: tables that lie ahead, and tables that are wanted again.
#include <fmt/format.h>

#include <algorithm>

#include "disk/core/units.hpp"
#include "imaging/qcow2/stream_decoder.hpp"

namespace ingot::imaging::qcow2 {
namespace {

// Two tables this close are fetched by one request: the bytes between cost less than a round trip.
constexpr std::uint64_t kWorthReadingThrough = 64 * KiB;
constexpr std::uint64_t kMaxRequest = 1 * MiB;

}  // namespace

// Called when bytes were held: what to do when they become many.
Result<void> StreamDecoder::make_room() {
  if (in_.ranges() != nullptr && hold_.memory_used() > context_.hold_limit / 4 &&
      (!index_.complete() || index_.keeps_fingerprints()) && !hold_.spilling()) {
    if (!index_.complete()) {
      INGOT_TRY(prefetch_l1());
      INGOT_TRY(index_.feed(l1_prefetched_, in_.size(),
                            [this](auto guest, auto length) { return zero(guest, length); }));
      return {};  // tables that have passed are taken from the hold first
    }
    return prefetch_tables();
  }
  if (hold_.spilling() || hold_.memory_used() <= context_.hold_limit) return {};
  // All that is to come may have to be kept, but hardly ever does: take less room if need be.
  const std::uint64_t rest = in_.size().value_or(0) > current_ ? *in_.size() - current_ : 0;
  if (open_scratch(rest)) return {};
  return open_scratch(0);
}

Result<void> StreamDecoder::prefetch_l1() {
  l1_prefetched_.resize(header_.used_l1_entries() * 8);
  return in_.ranges()->read(header_.l1_offset, l1_prefetched_);
}

// Reads every table that has not passed yet; from here on nothing in the stream is unknown.
Result<void> StreamDecoder::prefetch_tables() {
  const std::size_t count = index_.tables().size();
  context_.listener.on_note(
      fmt::format("the image's tables lie behind its data; fetching {} of "
                  "them ahead",
                  count - next_table_));
  INGOT_TRY(read_tables(next_table_, count, [this](std::size_t number, auto bytes) -> Result<void> {
    index_.remember(number, fingerprint(bytes));
    const auto& table = index_.tables()[number];
    INGOT_TRY_ASSIGN(auto claims,
                     parse_l2(header_, bytes, table.host, index_.guest(table), in_.size(),
                              [this](auto guest, auto length) { return zero(guest, length); }));
    return add_claims(std::move(claims));
  }));
  tables_prefetched_ = true;
  return {};
}

// Claims from horizon_ on were dropped: read all tables again, for as many as there is room for.
Result<void> StreamDecoder::refill() {
  const std::uint64_t from = horizon_;
  horizon_ = std::numeric_limits<std::uint64_t>::max();
  const std::size_t known = tables_prefetched_ ? index_.tables().size() : next_table_;
  return read_tables(0, known, [this, from](std::size_t number, auto bytes) -> Result<void> {
    const auto& table = index_.tables()[number];
    if (fingerprint(bytes) != index_.remembered(number))
      return fail(Errc::source_changed,
                  fmt::format("qcow2: the L2 table at {:#x} has changed on the server", table.host),
                  "the image was replaced while it was being read; start again");
    INGOT_TRY_ASSIGN(auto claims, parse_l2(header_, bytes, table.host, index_.guest(table),
                                           in_.size(), ZeroRange{}));
    std::erase_if(claims, [from](const Claim& claim) { return claim.host < from; });
    return add_claims(std::move(claims));
  });
}

Result<void> StreamDecoder::add_claims(std::vector<Claim> claims) {
  std::erase_if(claims, [this](const Claim& claim) { return claim.host >= horizon_; });
  claims_.add(std::move(claims));
  // Half as much memory again as is held. Images with more clusters than that ahead and in no order
  // are read in windows, which takes a source that can be read twice.
  const bool twice = in_.ranges() != nullptr && index_.keeps_fingerprints();
  const std::size_t least = twice ? 1024 : 64 * 1024;
  const std::size_t most = std::max<std::size_t>(context_.hold_limit / 2 / sizeof(Claim), least);
  if (claims_.size() <= most) return {};
  if (!twice)
    return fail(Errc::image_not_streamable,
                fmt::format("qcow2: more than {} clusters lie ahead in no order, more than memory "
                            "has room for, and the source cannot be read out of order",
                            most),
                "serve the image uncompressed from a server that answers Range requests, or "
                "rewrite it with qemu-img convert");
  horizon_ = std::min(horizon_, claims_.trim(most / 2));
  return {};
}

Result<void> StreamDecoder::read_tables(std::size_t first, std::size_t last,
                                        const OnTable& on_table) {
  const auto& tables = index_.tables();
  const std::uint64_t size = header_.cluster_size();
  std::vector<std::byte> bytes;
  while (first < last) {
    const std::uint64_t start = tables[first].host;
    std::size_t after = first + 1;
    while (after < last && tables[after].host + size - start <= kMaxRequest &&
           tables[after].host - (tables[after - 1].host + size) <= kWorthReadingThrough)
      ++after;
    bytes.resize(tables[after - 1].host + size - start);
    INGOT_TRY(in_.ranges()->read(start, bytes));
    for (; first < after; ++first)
      INGOT_TRY(on_table(first, std::span(bytes).subspan(tables[first].host - start, size)));
  }
  return {};
}

Result<void> StreamDecoder::open_scratch(std::uint64_t needed) {
  auto scratch = context_.scratch.open(header_.virtual_size, needed);
  if (!scratch) return tl::unexpected(scratch.error());
  context_.listener.on_note(
      fmt::format("the image's tables lie behind its data and the source "
                  "cannot be read out of order; keeping data in {}",
                  (*scratch)->describe()));
  hold_.spill_to(**scratch);
  return {};
}

}  // namespace ingot::imaging::qcow2
