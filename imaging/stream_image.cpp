#include "imaging/stream_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <thread>
#include <utility>

#include "imaging/decoders.hpp"
#include "imaging/decompressor.hpp"
#include "imaging/digest_tap.hpp"
#include "imaging/probe.hpp"

namespace ingot::imaging {
namespace {

// Of a stream whose length nobody knows, at most this much is read only to learn its digest.
constexpr std::uint64_t kMaxBlindDrain = 256 * MiB;

// A stream whose first slice was looked at already.
class PeekedStream final : public ByteStream {
 public:
  explicit PeekedStream(std::unique_ptr<ByteStream> in) : in_(std::move(in)) {}

  Result<Slice> peek() {
    INGOT_TRY_ASSIGN(first_, in_->next());
    peeked_ = true;
    return first_;
  }
  Result<Slice> next() override {
    if (std::exchange(peeked_, false)) return std::exchange(first_, {});
    return in_->next();
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return in_->size(); }
  [[nodiscard]] RangeReader* ranges() override { return in_->ranges(); }

 private:
  std::unique_ptr<ByteStream> in_;
  Slice first_;
  bool peeked_ = false;
};

// The tap, as something that can be given away while it stays here.
class TapReader final : public ByteStream {
 public:
  explicit TapReader(DigestTap& tap) : tap_(tap) {}
  Result<Slice> next() override { return tap_.next(); }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return tap_.size(); }
  [[nodiscard]] RangeReader* ranges() override { return tap_.ranges(); }

 private:
  DigestTap& tap_;
};

// One call of stream_image().
class Streaming {
 public:
  Streaming(const ImageRequest& request, ExtentSink& sink, ScratchProvider& scratch,
            ProgressCounters& counters, JobListener& listener, FirstError& job)
      : request_(request),
        sink_(sink),
        scratch_(scratch),
        counters_(counters),
        listener_(listener),
        job_(job),
        tap_(request.expected ? request.expected->type : DigestType::sha256, job.token()) {}

  Result<ImageOutcome> run() {
    listener_.on_phase(Phase::connect);
    INGOT_TRY_ASSIGN(source_, open_source(
                                  request_.urls, request_.transfer, request_.ring_blocks,
                                  [this](std::uint64_t n) { return tap_.prefix(n); }, counters_,
                                  listener_, job_.token()));
    tap_.attach(*source_);
    INGOT_TRY_ASSIGN(Unwrapped unwrapped, unwrap(std::make_unique<TapReader>(tap_), job_.token()));
    outcome_.compression = unwrapped.compression;
    std::optional<PeekedStream> image(std::in_place, std::move(unwrapped.stream));
    INGOT_TRY_ASSIGN(Slice head, image->peek());
    INGOT_TRY_ASSIGN(const ProbeResult probe,
                     probe_image(head.bytes(), request_.declared, request_.allow_unrecognized));
    outcome_.format = probe.format;

    listener_.on_phase(Phase::write);
    head = {};  // its block goes back to the ring
    auto size = decode(*image);
    image.reset();  // nobody else reads the tap from here on
    if (!size) return tl::unexpected(explain(size.error()));
    outcome_.virtual_size = *size;
    INGOT_TRY(drain(std::numeric_limits<std::uint64_t>::max()));
    INGOT_TRY(verify());
    return std::move(outcome_);
  }

 private:
  Result<std::uint64_t> decode(ByteStream& image) {
    // The decoder's own threads fail into a job of their own: their error ends the decoding, but
    // not the transfer, whose digest may yet tell what the matter is. A failure of anything else
    // (the device, a signal) ends both.
    FirstError decoding;
    const std::stop_callback passed_on(
        job_.token(), [&] { decoding.report(job_.or_else(Error(Errc::cancelled, "cancelled"))); });
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const DecodeContext context{sink_,
                                scratch_,
                                counters_,
                                listener_,
                                decoding,
                                request_.hold_limit,
                                request_.threads > 0 ? request_.threads : cores + 1};
    switch (outcome_.format) {
      case ImageFormat::raw:
        return decode_raw(image, context);
      case ImageFormat::qcow2:
        return decode_qcow2(image, context);
      default:
        return decode_with_qemu_img(
            image, outcome_.format,
            [this]() -> Result<void> {
              INGOT_TRY(drain(std::numeric_limits<std::uint64_t>::max()));
              return verify();
            },
            request_.convert_timeout, context);
    }
  }

  // Reads what the decoder left, at most `most` bytes, so that the digest is of the whole file.
  Result<void> drain(std::uint64_t most) {
    const std::uint64_t start = tap_.taken();
    for (;;) {
      INGOT_TRY_ASSIGN(const Slice slice, tap_.next());
      if (slice.empty()) return {};
      if (tap_.taken() - start > most)
        return fail(Errc::source_truncated, "reading the rest of the image: it does not end");
    }
  }

  Result<void> verify() {
    INGOT_TRY_ASSIGN(outcome_.digest, tap_.finish());
    if (!request_.expected || outcome_.digest == *request_.expected) return {};
    return tl::unexpected(mismatch(outcome_.digest, {}));
  }

  [[nodiscard]] Error mismatch(const Digest& actual, const std::string& decoder) const {
    return Error(
        Errc::checksum_mismatch,
        fmt::format("verifying {}: the {} of the {} bytes received is {}, expected {}{}",
                    redacted(request_.urls.front()), name(actual.type), tap_.taken(), actual.hex,
                    request_.expected->hex,
                    decoder.empty() ? "" : " (the decoder stopped with: " + decoder + ")"),
        "the image or its checksum changed, or the transfer was tampered with; compare both with "
        "what the publisher says");
  }

  // An image that cannot be decoded is usually not the image that was asked for. Its digest tells.
  Error explain(const Error& error) {
    if (error.cls() != ErrorClass::image || !request_.expected || job_.token().stop_requested())
      return error;
    const bool endless = !source_->size();
    if (!drain(endless ? kMaxBlindDrain : std::numeric_limits<std::uint64_t>::max())) return error;
    const auto digest = tap_.finish();
    if (!digest || *digest == *request_.expected) return error;
    return mismatch(*digest, error.message());
  }

  const ImageRequest& request_;
  ExtentSink& sink_;
  ScratchProvider& scratch_;
  ProgressCounters& counters_;
  JobListener& listener_;
  FirstError& job_;
  ImageOutcome outcome_;
  // The source's thread asks the tap, so the tap is there first and goes last.
  DigestTap tap_;
  std::unique_ptr<ByteStream> source_;
};

}  // namespace

Result<ImageOutcome> stream_image(const ImageRequest& request, ExtentSink& sink,
                                  ScratchProvider& scratch, ProgressCounters& counters,
                                  JobListener& listener, FirstError& job) {
  Result<ImageOutcome> outcome = Streaming(request, sink, scratch, counters, listener, job).run();
  if (outcome) return outcome;
  job.report(outcome.error());
  return tl::unexpected(job.or_else(outcome.error()));
}

}  // namespace ingot::imaging
