#include "imaging/stream_image.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "disk/core/url_text.hpp"
#include "imaging/decoders.hpp"
#include "imaging/decompressor.hpp"
#include "imaging/digest_tap.hpp"
#include "imaging/peek_stream.hpp"
#include "imaging/probe.hpp"

namespace ingot::imaging {
namespace {

Result<void> check_permitted(ImageFormat format, const std::vector<ImageFormat>& permitted) {
  if (permitted.empty() || std::ranges::count(permitted, format) > 0) return {};
  std::vector<std::string_view> names;
  for (const auto each : permitted) names.push_back(name(each));
  return fail(Errc::image_unsupported,
              fmt::format("the image is {}, and only {} may be written here", name(format),
                          fmt::join(names, ", ")),
              "convert the image to one of these, or permit its format");
}

// How long the rest of an image that cannot be decoded is read only to learn its digest.
constexpr std::chrono::seconds kExplainPatience{9};

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
    std::optional<PeekStream> image(std::in_place, std::move(unwrapped.stream));
    if (auto known = examine(*image); !known) {
      // Stopped before the stream goes, which may be waiting for a server that has gone quiet.
      job_.report(known.error());
      return tl::unexpected(known.error());
    }

    listener_.on_phase(Phase::write);
    auto size = decode(*image);
    if (!size) return tl::unexpected(explain(size.error(), image));
    image.reset();  // nobody else reads the tap from here on
    outcome_.virtual_size = *size;
    INGOT_TRY(drain());
    INGOT_TRY(verify());
    return std::move(outcome_);
  }

 private:
  Result<void> examine(PeekStream& image) {
    INGOT_TRY_ASSIGN(const auto head, image.peek(kStreamBlock));
    INGOT_TRY_ASSIGN(const ProbeResult probe,
                     probe_image(head, request_.declared, request_.allow_unrecognized));
    outcome_.format = probe.format;
    return check_permitted(probe.format, request_.permitted);
  }

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
              INGOT_TRY(drain());
              return verify();
            },
            request_.convert_timeout, context);
    }
  }

  // Reads what the decoder left, so that the digest is of the whole file.
  Result<void> drain() {
    for (;;) {
      INGOT_TRY_ASSIGN(const Slice slice, tap_.next());
      if (slice.empty()) return {};
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

  // An image that cannot be decoded is usually not the image that was asked for. Its digest tells,
  // where the rest of it comes soon enough; the job is over in any case.
  Error explain(const Error& error, std::optional<PeekStream>& image) {
    if (error.cls() != ErrorClass::image || !request_.expected) job_.report(error);
    if (job_.token().stop_requested()) return error;
    std::mutex mutex;
    std::condition_variable_any never;
    const std::jthread patience([&](const std::stop_token& done) {
      std::unique_lock lock(mutex);
      never.wait_for(lock, done, kExplainPatience, [] { return false; });
      if (!done.stop_requested()) job_.report(error);
    });
    image.reset();  // nobody else reads the tap from here on
    if (!drain()) return error;
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
