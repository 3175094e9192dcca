/// Decodes an image in memory, the way stream_image() would, and gives back the disk.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imaging/decoders.hpp"
#include "tests/support/memory_scratch.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/recording_sink.hpp"

namespace ingot::test {

class SilentListener final : public JobListener {
 public:
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string& text) override { notes.push_back(text); }
  std::vector<std::string> notes;
};

/// How a decoder is run.
struct DecodeOptions {
  MemoryStreamOptions stream = {};
  std::uint64_t scratch = 0;          ///< bytes of scratch room
  std::size_t hold_limit = 32 * MiB;  ///< bytes
  unsigned threads = 2;
  std::optional<std::uint64_t> target = {};  ///< the sink's size, bytes
};

/// What came of it.
struct Decoded {
  std::uint64_t virtual_size = 0;
  std::vector<std::byte> disk;
  std::vector<std::string> notes;
  std::uint64_t scratch_used = 0;
  int scratch_opened = 0;
  int range_requests = 0;
};

using Decoder =
    std::function<Result<std::uint64_t>(imaging::ByteStream&, const imaging::DecodeContext&)>;

inline Result<Decoded> decode(const Decoder& decoder, std::vector<std::byte> image,
                              const DecodeOptions& options = {}) {
  FirstError job;
  MemoryStreamOptions stream_options = options.stream;
  stream_options.stop = job.token();
  MemoryStream stream(std::move(image), stream_options);
  RecordingSink sink(options.target, 16, job.token());
  MemoryScratch scratch(options.scratch);
  ProgressCounters counters;
  SilentListener listener;
  auto size = decoder(stream, imaging::DecodeContext{sink, scratch, counters, listener, job,
                                                     options.hold_limit, options.threads});
  EXPECT_TRUE(sink.violations().empty()) << sink.violations().front();
  if (!size) return tl::unexpected(job.or_else(size.error()));
  Decoded decoded;
  decoded.virtual_size = *size;
  EXPECT_TRUE(sink.complete(*size)) << "not every guest byte was covered";
  decoded.disk = sink.image();
  decoded.notes = listener.notes;
  decoded.scratch_used = scratch.used();
  decoded.scratch_opened = scratch.opened();
  decoded.range_requests = stream.range_requests();
  return decoded;
}

}  // namespace ingot::test
