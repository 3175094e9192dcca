/// StreamDecoder: a qcow2 image, read once from start to end, into extents.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "imaging/decoders.hpp"
#include "imaging/qcow2/claims.hpp"
#include "imaging/qcow2/cluster_workers.hpp"
#include "imaging/qcow2/header.hpp"
#include "imaging/qcow2/hold.hpp"
#include "imaging/qcow2/table_index.hpp"

namespace ingot::imaging::qcow2 {

/// Walks the file in order and knows, for every byte, what it is: a part of the L1 table, of an L2
/// table, of data that some L2 table claims, or nothing that is known of yet.
///
/// What is not known of yet is kept (HoldStore) while there are L2 tables to come, since any of
/// them may claim it; images of `qemu-img convert` need under 2 MiB of that. When it grows, and the
/// source answers ranges, all outstanding tables are fetched out of order: then nothing is unknown
/// any more. Their bytes are compared with the stream's as those pass, so that the digest of the
/// stream covers everything that was acted on. Without ranges the kept bytes go to scratch room.
///
/// Each byte of the file is used at most once: a claim on bytes that are part of a table or of
/// another claim is an overlap and refused. (The last sector of a compressed cluster is the
/// exception: the next one may start in it.)
///
/// Units    "host" is a byte offset in the image file, "guest" one in the decoded disk.
/// Threads  run() on the caller's; clusters are inflated by ClusterWorkers.
/// Memory   hold_limit, kMaxClaims claims, the list of L2 tables, a cluster or two.
class StreamDecoder {
 public:
  StreamDecoder(ByteStream& in, const DecodeContext& context);

  /// Decodes to the end of the stream; returns the virtual size, bytes.
  Result<std::uint64_t> run();

 private:
  enum class Kind { l1, table, claim, refill };
  // The next thing that is known to be in the file.
  struct Object {
    Kind kind;
    std::uint64_t host;
    std::uint64_t end;
  };
  // What is being collected from the stream, from `host` to `end`.
  struct Gathering {
    Object object;
    Claim claim;                   // for Kind::claim
    std::vector<std::byte> bytes;  // for tables and compressed clusters
    bool streamed;                 // some of it came from the stream, not from the hold
  };

  Result<void> start(Slice first);
  Result<void> consume(Slice slice);
  Result<void> submit();
  Result<void> advance();
  Result<void> end_of_stream();
  Result<void> fill_up();

  [[nodiscard]] std::optional<Object> next_object() const;
  Result<void> begin_object(const Object& object);
  Result<void> begin_claim(const Object& object, std::uint64_t passed, std::uint64_t held);
  Result<void> gather();
  Result<void> gathered();
  Result<void> pass_gap(std::uint64_t end);

  Result<void> l1_bytes(std::span<const std::byte> bytes);
  Result<void> table_bytes(std::span<const std::byte> bytes);
  Result<void> add_claims(std::vector<Claim> claims);
  Result<void> compressed_done(const Claim& claim);
  Result<void> held_data(const Claim& claim, std::uint64_t length);
  Result<void> zero(std::uint64_t guest, std::uint64_t length);

  // Out-of-order reads of tables.
  Result<void> make_room();
  Result<void> prefetch_l1();
  Result<void> prefetch_tables();
  Result<void> refill();
  using OnTable = std::function<Result<void>(std::size_t, std::span<const std::byte>)>;
  Result<void> read_tables(std::size_t first, std::size_t last, const OnTable& on_table);
  Result<void> open_scratch(std::uint64_t needed);

  [[nodiscard]] bool tables_outstanding() const noexcept {
    return !index_.complete() || (!tables_prefetched_ && next_table_ < index_.tables().size());
  }
  [[nodiscard]] std::span<const std::byte> stream_bytes(std::uint64_t from, std::uint64_t to) const;
  [[nodiscard]] tl::unexpected<Error> overlap(const Object& object) const;
  [[nodiscard]] tl::unexpected<Error> truncated(const std::string& what) const;

  ByteStream& in_;
  const DecodeContext& context_;
  Header header_;
  TableIndex index_{header_};
  ClaimQueue claims_;
  HoldStore hold_;
  std::optional<ClusterWorkers> workers_;

  Slice slice_;
  std::uint64_t slice_begin_ = 0;
  std::uint64_t slice_end_ = 0;
  std::uint64_t current_ = 0;  // the next byte of the file to be classified
  bool at_end_ = false;
  std::optional<Gathering> gathering_;
  Batch batch_;

  bool l1_passed_ = false;      // the stream has carried the L1 table
  std::uint64_t l1_fed_ = 0;    // bytes of it that have passed
  std::size_t next_table_ = 0;  // tables before it have passed
  std::vector<std::byte> l1_prefetched_;
  bool tables_prefetched_ = false;
  // Claims from here on were dropped for want of memory and are read again when reached.
  std::uint64_t horizon_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace ingot::imaging::qcow2
