#include "imaging/qcow2/cluster_workers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "imaging/qcow2/inflater.hpp"
#include "imaging/zero_scan.hpp"

namespace ingot::imaging::qcow2 {
namespace {

// A zero run shorter than this is written like data: zeroing costs a call of its own, and that is
// dearer than the bytes (64 KiB steps reach 0.7 GiB/s, 16 MiB steps ten times that).
constexpr std::size_t kWorthZeroing = 1024 * 1024;

// Joins decoded pieces that follow each other in the guest into one buffer of the sink.
class Joiner {
 public:
  explicit Joiner(ExtentSink& sink) : sink_(sink) {}

  // Room for `length` bytes at `guest`, to be filled and then kept with commit(). `length` is at
  // most one sink buffer.
  Result<std::span<std::byte>> room(std::uint64_t guest, std::size_t length) {
    if (buffer_ && (guest != start_ + used_ || length > buffer_.bytes().size() - used_))
      INGOT_TRY(flush());
    if (!buffer_) {
      INGOT_TRY_ASSIGN(buffer_, sink_.buffer());
      start_ = guest;
      used_ = 0;
    }
    return buffer_.bytes().subspan(used_, length);
  }
  // Keeps the first `length` bytes of the last room().
  void commit(std::size_t length) { used_ += length; }

  Result<void> flush() {
    if (!buffer_) return {};
    const BufferRef done = std::exchange(buffer_, {});
    if (used_ == 0) return {};
    const auto bytes = done.bytes().first(std::exchange(used_, 0));
    if (bytes.size() >= kWorthZeroing && all_zero(bytes)) return sink_.zero(start_, bytes.size());
    return sink_.write(start_, Slice(done, bytes));
  }

 private:
  ExtentSink& sink_;
  BufferRef buffer_;
  std::uint64_t start_ = 0;
  std::size_t used_ = 0;
};

class BatchDecoder {
 public:
  BatchDecoder(const Header& header, ExtentSink& sink)
      : header_(header), sink_(sink), inflater_(header.compression) {}

  Result<void> decode(Batch& batch) {
    inflated_.clear();
    std::sort(batch.pieces.begin(), batch.pieces.end(),
              [](const Piece& a, const Piece& b) { return a.guest < b.guest; });
    Joiner joiner(sink_);
    for (const Piece& piece : batch.pieces)
      INGOT_TRY(piece.compressed ? compressed(piece, joiner) : plain(piece, batch.slice, joiner));
    return joiner.flush();
  }

  // What the last batch's compressed clusters took of the file.
  [[nodiscard]] const std::vector<ClusterWorkers::Stretch>& inflated() const { return inflated_; }

 private:
  // Long stretches are written from where they were received; short ones join their neighbours,
  // for which one copy is cheaper than one request.
  Result<void> plain(const Piece& piece, const Slice& slice, Joiner& joiner) {
    constexpr std::size_t kWorthRequest = 256 * 1024;
    if (piece.in_slice && piece.bytes.size() >= kWorthRequest) {
      if (piece.bytes.size() >= kWorthZeroing && all_zero(piece.bytes))
        return sink_.zero(piece.guest, piece.bytes.size());
      const auto offset = static_cast<std::size_t>(piece.bytes.data() - slice.bytes().data());
      return sink_.write(piece.guest, slice.sub(offset, piece.bytes.size()));
    }
    return copy(piece.bytes, piece.guest, joiner);
  }

  Result<void> compressed(const Piece& piece, Joiner& joiner) {
    const std::size_t size = header_.cluster_size();
    // The disk may end inside its last cluster; the cluster is whole all the same.
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(size, header_.virtual_size - piece.guest));
    if (size > kCopyStep) {
      large_.resize(size);
      INGOT_TRY(inflate(piece, large_));
      return copy(std::span(large_).first(wanted), piece.guest, joiner);
    }
    INGOT_TRY_ASSIGN(const auto into, joiner.room(piece.guest, size));
    INGOT_TRY(inflate(piece, into));
    joiner.commit(wanted);
    return {};
  }

  static Result<void> copy(std::span<const std::byte> rest, std::uint64_t guest, Joiner& joiner) {
    while (!rest.empty()) {
      const auto part = rest.first(std::min(rest.size(), kCopyStep));
      INGOT_TRY_ASSIGN(const auto into, joiner.room(guest, part.size()));
      std::copy(part.begin(), part.end(), into.begin());
      joiner.commit(part.size());
      guest += part.size();
      rest = rest.subspan(part.size());
    }
    return {};
  }

  Result<void> inflate(const Piece& piece, std::span<std::byte> out) {
    if (const auto used = inflater_.inflate(piece.bytes, out)) {
      inflated_.push_back({piece.host, *used});
      return {};
    }
    return fail(Errc::image_corrupt,
                fmt::format("qcow2: the compressed cluster at {:#x} of the file (guest offset {}) "
                            "does not inflate to one cluster of {} bytes",
                            piece.host, piece.guest, out.size()),
                "the image is damaged; check it with qemu-img check, fetch or build it again");
  }

  static constexpr std::size_t kCopyStep = 1024 * 1024;  // what every sink buffer can take

  const Header& header_;
  ExtentSink& sink_;
  Inflater inflater_;
  std::vector<ClusterWorkers::Stretch> inflated_;
  std::vector<std::byte> large_;  // one cluster, where that is larger than a sink buffer
};

}  // namespace

ClusterWorkers::ClusterWorkers(const Header& header, ExtentSink& sink, FirstError& job,
                               unsigned threads)
    : header_(header), sink_(sink), job_(job), queue_(threads) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

ClusterWorkers::~ClusterWorkers() {
  queue_.close();
  threads_.clear();  // joins; a job that failed has stopped whatever they wait for
}

void ClusterWorkers::run() {
  try {
    BatchDecoder decoder(header_, sink_);
    while (auto batch = queue_.pop(job_.token())) {
      if (auto done = decoder.decode(*batch); !done) {
        job_.report(done.error());
        return;
      }
      const std::lock_guard lock(mutex_);
      inflated_.insert(inflated_.end(), decoder.inflated().begin(), decoder.inflated().end());
    }
  } catch (const std::exception& error) {
    job_.report(Error(Errc::internal_bug, fmt::format("decoding a cluster: {}", error.what())));
  }
}

Result<void> ClusterWorkers::submit(Batch batch) {
  if (batch.pieces.empty()) return {};
  if (queue_.push(std::move(batch), job_.token())) return {};
  return tl::unexpected(job_.or_else(Error(Errc::cancelled, "decoding the image: cancelled")));
}

std::vector<ClusterWorkers::Stretch> ClusterWorkers::take_inflated() {
  const std::lock_guard lock(mutex_);
  return std::exchange(inflated_, {});
}

Result<void> ClusterWorkers::finish() {
  queue_.close();
  threads_.clear();
  if (auto error = job_.get()) return tl::unexpected(*error);
  if (job_.token().stop_requested()) return fail(Errc::cancelled, "decoding the image: cancelled");
  return {};
}

}  // namespace ingot::imaging::qcow2
