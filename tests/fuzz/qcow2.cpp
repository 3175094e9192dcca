// Fuzz target: a whole qcow2 file through the forward-only decoder.
#include <cstdlib>

#include "imaging/decoders.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/memory_scratch.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/qcow2_builder.hpp"
#include "tests/support/recording_sink.hpp"

namespace {

using namespace ingot;  // NOLINT: a test program of its own

constexpr std::uint64_t kTarget = 64 * MiB;

class Silent final : public JobListener {
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned way = data[0];
  const auto* bytes = reinterpret_cast<const std::byte*>(data) + 1;
  FirstError job;
  test::MemoryStreamOptions options;
  options.ranges = (way & 1U) != 0;
  options.known_size = (way & 3U) != 0;
  options.stop = job.token();
  test::MemoryStream stream(test::Bytes(bytes, bytes + size - 1), options);
  test::RecordingSink sink(kTarget, 8, job.token());
  test::MemoryScratch scratch((way & 4U) != 0 ? 4 * MiB : 0);
  ProgressCounters counters;
  Silent listener;
  const auto decoded = imaging::decode_qcow2(
      stream, {sink, scratch, counters, listener, job, (way & 8U) != 0 ? 4 * KiB : 4 * MiB, 1});
  if (!sink.violations().empty()) std::abort();
  if (decoded && !sink.complete(*decoded)) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  std::vector<Input> inputs;
  std::uint32_t seed = 0;
  for (const unsigned bits : {9U, 12U, 16U})
    for (const auto order :
         {test::Qcow2Layout::Order::interleaved, test::Qcow2Layout::Order::shuffled})
      for (const unsigned way : {0U, 3U, 12U, 15U}) {
        test::Qcow2Layout layout;
        layout.seed = ++seed;
        layout.cluster_bits = bits;
        layout.virtual_size = 16ULL << bits;
        layout.order = order;
        layout.zstd = seed % 2 == 0;
        layout.extended_l2 = bits == 16 && seed % 3 == 0;
        const auto built = test::build_qcow2(layout);
        Input input{static_cast<std::uint8_t>(way)};
        for (const auto byte : built.file) input.push_back(std::to_integer<std::uint8_t>(byte));
        inputs.push_back(std::move(input));
      }
  return inputs;
}
