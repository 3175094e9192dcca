#include "imaging/qcow2/stream_decoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "disk/core/units.hpp"

namespace ingot::imaging {

Result<std::uint64_t> decode_qcow2(ByteStream& in, const DecodeContext& context) {
  return qcow2::StreamDecoder(in, context).run();
}

namespace qcow2 {
namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::size_t kMaxCopy = 1 * MiB;  // what every sink buffer can take

// Where the sector begins that a compressed cluster ends in; never the cluster's own first byte,
// which no other cluster can start at.
std::uint64_t last_sector(const Claim& claim, std::uint64_t end) {
  return std::max(claim.host + 1, align_down(end - 1, kSector));
}

}  // namespace

StreamDecoder::StreamDecoder(ByteStream& in, const DecodeContext& context)
    : in_(in), context_(context) {}

Result<std::uint64_t> StreamDecoder::run() {
  INGOT_TRY_ASSIGN(Slice first, in_.next());
  INGOT_TRY(start(first));
  for (Slice slice = std::move(first); !slice.empty();) {
    INGOT_TRY(consume(std::move(slice)));
    auto next = in_.next();
    // A failed worker stops the source as well; its error is the one that explains.
    if (!next) return tl::unexpected(context_.job.or_else(next.error()));
    slice = *std::move(next);
  }
  INGOT_TRY(end_of_stream());
  INGOT_TRY(workers_->finish());
  return header_.virtual_size;
}

Result<void> StreamDecoder::start(Slice first) {
  INGOT_TRY_ASSIGN(header_, parse_header(first.bytes()));
  INGOT_TRY(check_supported(header_, in_.size()));
  context_.counters.virtual_size = static_cast<std::int64_t>(header_.virtual_size);

  // The L1 table may be so far ahead that nothing could be placed for long: have it now, or know
  // that there is room for all that comes before it, before the target is touched.
  const bool l1_far = header_.l1_offset > context_.hold_limit / 4;
  if (l1_far && in_.ranges() != nullptr) {
    INGOT_TRY(prefetch_l1());
  } else if (header_.l1_offset > context_.hold_limit) {
    INGOT_TRY(open_scratch(header_.l1_offset));
  }
  INGOT_TRY(context_.sink.begin(header_.virtual_size));
  workers_.emplace(header_, context_.sink, context_.job, context_.threads);
  if (!l1_prefetched_.empty())
    INGOT_TRY(index_.feed(l1_prefetched_, in_.size(),
                          [this](auto guest, auto length) { return zero(guest, length); }));
  current_ = header_.cluster_size();  // the first cluster is the header's
  return {};
}

Result<void> StreamDecoder::consume(Slice slice) {
  slice_begin_ = slice_end_;
  slice_end_ += slice.size();
  slice_ = std::move(slice);
  if (current_ < slice_end_) INGOT_TRY(advance());
  return submit();
}

// Hands on what was found so far, and forgets the held ends of clusters that are done by now.
Result<void> StreamDecoder::submit() {
  batch_.slice = slice_;
  INGOT_TRY(workers_->submit(std::exchange(batch_, {})));
  for (const auto& used : workers_->take_inflated()) hold_.drop(used.host, used.length);
  return {};
}

Result<void> StreamDecoder::end_of_stream() {
  at_end_ = true;
  slice_ = {};
  slice_begin_ = slice_end_;
  if (current_ > slice_end_) return truncated("its header");
  INGOT_TRY(advance());
  // A file's last cluster and its last sector need not be whole: what is missing reads as zeros.
  while (gathering_ && gathering_->object.kind == Kind::claim) {
    INGOT_TRY(fill_up());
    INGOT_TRY(gathered());
    INGOT_TRY(advance());
  }
  if (gathering_) return truncated("a table");
  if (!l1_passed_) return truncated("the L1 table");
  while (auto object = next_object()) {
    if (object->kind == Kind::table) return truncated("an L2 table");
    if (object->kind == Kind::refill) {
      INGOT_TRY(refill());
      continue;
    }
    // Of a short last cluster with subclusters, those behind the end are claims of their own.
    const Claim claim = claims_.pop();
    if (claim.kind == ClaimKind::skip) continue;
    if (claim.kind != ClaimKind::data || claim.end() > align_up(slice_end_, header_.cluster_size()))
      return truncated("a data cluster");
    INGOT_TRY(zero(claim.guest, claim.length));
  }
  return submit();
}

// The claim that is being gathered goes on where the file has ended.
Result<void> StreamDecoder::fill_up() {
  const Claim claim = gathering_->claim;
  switch (claim.kind) {
    case ClaimKind::skip:
      return {};
    case ClaimKind::data:
      if (claim.end() > align_up(slice_end_, header_.cluster_size()))
        return truncated("a data cluster");
      return zero(claim.guest + (slice_end_ - claim.host), claim.end() - slice_end_);
    case ClaimKind::compressed: {
      const std::uint64_t tail = last_sector(claim, slice_end_);
      if (tail < slice_end_)
        INGOT_TRY(hold_.put(tail, std::span(gathering_->bytes).subspan(tail - claim.host)));
      gathering_->bytes.resize(claim.length);
      return {};
    }
  }
  return {};
}

// Handles everything that the stream's bytes so far allow.
Result<void> StreamDecoder::advance() {
  for (;;) {
    if (gathering_) {
      INGOT_TRY(gather());
      if (gathering_) return {};
      continue;
    }
    const auto next = next_object();
    if (next && next->host < current_) {
      // Held since it passed; if it also goes on ahead, the rest is gathered.
      INGOT_TRY(begin_object(*next));
      continue;
    }
    if (!tables_outstanding()) hold_.clear();  // nobody is left to claim it
    if (current_ >= slice_end_) return {};
    if (next && next->host == current_) {
      INGOT_TRY(begin_object(*next));
      continue;
    }
    INGOT_TRY(pass_gap(next ? std::min(next->host, slice_end_) : slice_end_));
  }
}

std::optional<StreamDecoder::Object> StreamDecoder::next_object() const {
  std::optional<Object> next;
  const auto consider = [&next](const Object& object) {
    if (!next || object.host < next->host) next = object;
  };
  if (!l1_passed_)
    consider({Kind::l1, header_.l1_offset, header_.l1_offset + header_.used_l1_entries() * 8});
  if (index_.complete() && next_table_ < index_.tables().size()) {
    const std::uint64_t host = index_.tables()[next_table_].host;
    consider({Kind::table, host, host + header_.cluster_size()});
  }
  if (!claims_.empty()) consider({Kind::claim, claims_.front().host, claims_.front().end()});
  if (horizon_ != std::numeric_limits<std::uint64_t>::max())
    consider({Kind::refill, horizon_, horizon_});
  return next;
}

Result<void> StreamDecoder::begin_object(const Object& object) {
  if (object.kind == Kind::refill) return refill();
  // What of it has passed must have been held: if not, something else has used those bytes.
  const std::uint64_t passed = std::min(object.end, current_) - object.host;
  const std::uint64_t held = hold_.available(object.host, passed);
  if (object.kind == Kind::claim) return begin_claim(object, passed, held);
  if (held < passed) return overlap(object);

  gathering_ = Gathering{object, {}, std::vector<std::byte>(passed), false};
  INGOT_TRY(hold_.read(object.host, gathering_->bytes));
  hold_.drop(object.host, passed);
  if (object.kind == Kind::l1) {
    // Read entry by entry: the table may be far larger than what should be kept.
    l1_fed_ = passed;
    const auto prefix = std::exchange(gathering_->bytes, {});
    INGOT_TRY(l1_bytes(prefix));
  }
  if (object.end <= current_) return gathered();
  return {};
}

// `passed` bytes of the claim have passed, the first `held` of them are in the hold.
Result<void> StreamDecoder::begin_claim(const Object& object, std::uint64_t passed,
                                        std::uint64_t held) {
  const Claim claim = claims_.pop();
  const bool complete = object.end <= current_;
  if (held < passed) {
    // A compressed cluster is given in whole sectors, and the end of its last one may be another
    // cluster's, which has used it already. Whether enough is left shows when it is inflated.
    const bool sector_shared = claim.kind == ClaimKind::compressed && complete && held > 0 &&
                               claim.host + held >= align_down(object.end - 1, kSector);
    if (!sector_shared) return overlap(object);
  }
  gathering_ = Gathering{object, claim, {}, false};
  switch (claim.kind) {
    case ClaimKind::skip:
      hold_.drop(claim.host, passed);
      break;
    case ClaimKind::data:
      INGOT_TRY(held_data(claim, passed));
      hold_.drop(claim.host, passed);
      break;
    case ClaimKind::compressed:
      gathering_->bytes.resize(held);
      INGOT_TRY(hold_.read(claim.host, gathering_->bytes));
      // If all of it was held, its last sector stays: the next cluster may start there.
      hold_.drop(claim.host, complete ? last_sector(claim, object.end) - claim.host : passed);
      break;
  }
  if (complete) return gathered();
  return {};
}

// Takes what the current slice has of the object that is being gathered.
Result<void> StreamDecoder::gather() {
  Gathering& now = *gathering_;
  const std::uint64_t to = std::min(now.object.end, slice_end_);
  if (to <= current_) return {};
  const auto bytes = stream_bytes(current_, to);
  const bool whole = current_ == now.object.host && to == now.object.end;
  const std::uint64_t from = std::exchange(current_, to);
  now.streamed = true;
  switch (now.object.kind) {
    case Kind::l1:
      INGOT_TRY(l1_bytes(bytes));
      break;
    case Kind::table:
      now.bytes.insert(now.bytes.end(), bytes.begin(), bytes.end());
      break;
    case Kind::claim:
      if (now.claim.kind == ClaimKind::data) {
        batch_.pieces.push_back(
            {now.claim.guest + (from - now.claim.host), from, bytes, false, true});
      } else if (now.claim.kind == ClaimKind::compressed) {
        if (whole) {
          batch_.pieces.push_back({now.claim.guest, from, bytes, true, true});
          const Claim claim = now.claim;
          gathering_.reset();
          return compressed_done(claim);
        }
        now.bytes.insert(now.bytes.end(), bytes.begin(), bytes.end());
      }
      break;
    case Kind::refill:
      break;
  }
  return to == now.object.end ? gathered() : Result<void>{};
}

// The object has all its bytes.
Result<void> StreamDecoder::gathered() {
  Gathering done = std::move(*gathering_);
  gathering_.reset();
  switch (done.object.kind) {
    case Kind::l1:
      l1_passed_ = true;
      l1_prefetched_ = {};
      if (!index_.complete()) return truncated("the L1 table");
      return {};
    case Kind::table:
      return table_bytes(done.bytes);
    case Kind::claim:
      break;
    case Kind::refill:
      return {};
  }
  if (done.claim.kind != ClaimKind::compressed) return {};
  batch_.own.push_back(std::move(done.bytes));
  batch_.pieces.push_back({done.claim.guest, done.claim.host, batch_.own.back(), true, false});
  // Many held clusters may be placed at once: hand them on before they pile up.
  if (batch_.own.size() * header_.cluster_size() >= 2 * MiB) INGOT_TRY(submit());
  return done.streamed && !at_end_ ? compressed_done(done.claim) : Result<void>{};
}

// The sector that a compressed cluster ends in may hold the start of the next one: of the next one
// known, which is read from there, or of one that no table seen so far has named.
Result<void> StreamDecoder::compressed_done(const Claim& claim) {
  const std::uint64_t tail = std::max(last_sector(claim, current_), slice_begin_);
  const std::uint64_t end = current_;
  if (!claims_.empty()) {
    const Claim& next = claims_.front();
    if (next.kind == ClaimKind::compressed && next.host > claim.host && next.host < end &&
        next.host >= slice_begin_)
      current_ = next.host;
  }
  if (tail >= current_ || (!tables_outstanding() && horizon_ >= end)) return {};
  return hold_.put(tail, stream_bytes(tail, current_));
}

// Bytes up to `end` that nothing known of claims.
Result<void> StreamDecoder::pass_gap(std::uint64_t end) {
  if (tables_outstanding()) {
    INGOT_TRY(hold_.put(current_, stream_bytes(current_, end)));
    current_ = end;
    return make_room();
  }
  current_ = end;
  return {};
}

Result<void> StreamDecoder::l1_bytes(std::span<const std::byte> bytes) {
  if (!l1_prefetched_.empty()) {
    if (!std::equal(bytes.begin(), bytes.end(),
                    l1_prefetched_.begin() + static_cast<std::ptrdiff_t>(l1_fed_)))
      return fail(Errc::source_changed,
                  "qcow2: the L1 table that the server sent for a Range request is not the one in "
                  "the image it streams",
                  "the image was replaced while it was being read; start again");
    l1_fed_ += bytes.size();
    return {};
  }
  return index_.feed(bytes, in_.size(),
                     [this](auto guest, auto length) { return zero(guest, length); });
}

Result<void> StreamDecoder::table_bytes(std::span<const std::byte> bytes) {
  const std::size_t number = next_table_++;
  const auto& table = index_.tables()[number];
  if (tables_prefetched_) {
    if (fingerprint(bytes) != index_.remembered(number))
      return fail(Errc::source_changed,
                  fmt::format("qcow2: the L2 table at {:#x} that the server sent for a Range "
                              "request is not the one in the image it streams",
                              table.host),
                  "the image was replaced while it was being read; start again");
    return {};
  }
  if (in_.ranges() != nullptr && index_.keeps_fingerprints())
    index_.remember(number, fingerprint(bytes));
  INGOT_TRY_ASSIGN(auto claims,
                   parse_l2(header_, bytes, table.host, index_.guest(table), in_.size(),
                            [this](auto guest, auto length) { return zero(guest, length); }));
  return add_claims(std::move(claims));
}

// Guest bytes that have passed already but are only now known to be wanted.
Result<void> StreamDecoder::held_data(const Claim& claim, std::uint64_t length) {
  for (std::uint64_t done = 0; done < length;) {
    const auto part = std::min<std::uint64_t>(kMaxCopy, length - done);
    if (hold_.is_zero(claim.host + done, part)) {
      INGOT_TRY(zero(claim.guest + done, part));
    } else {
      INGOT_TRY_ASSIGN(const BufferRef buffer, context_.sink.buffer());
      const auto bytes = buffer.bytes().first(part);
      INGOT_TRY(hold_.read(claim.host + done, bytes));
      INGOT_TRY(context_.sink.write(claim.guest + done, Slice(buffer, bytes)));
    }
    done += part;
  }
  return {};
}

Result<void> StreamDecoder::zero(std::uint64_t guest, std::uint64_t length) {
  return context_.sink.zero(guest, length);
}

std::span<const std::byte> StreamDecoder::stream_bytes(std::uint64_t from, std::uint64_t to) const {
  return slice_.bytes().subspan(from - slice_begin_, to - from);
}

tl::unexpected<Error> StreamDecoder::overlap(const Object& object) const {
  const char* what = object.kind == Kind::l1      ? "the L1 table"
                     : object.kind == Kind::table ? "the L2 table"
                                                  : "the host cluster";
  return fail(Errc::image_corrupt,
              fmt::format("qcow2: {} at {:#x} is overlapping another table or cluster of the image",
                          what, object.host),
              "the image is damaged; check it with qemu-img check, fetch or build it again");
}

tl::unexpected<Error> StreamDecoder::truncated(const std::string& what) const {
  return fail(Errc::image_truncated,
              fmt::format("qcow2: the file ends after {} bytes, inside or before {} that it refers "
                          "to",
                          slice_end_, what),
              "the image on the server is incomplete; upload it again");
}

}  // namespace qcow2
}  // namespace ingot::imaging
