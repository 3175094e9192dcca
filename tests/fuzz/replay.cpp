// main() of a fuzz target in a build without libFuzzer: the target's seeds, and mutations of them
// by a fixed generator, as an ordinary test. Arguments are files to run instead.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/fuzz/fuzz.hpp"

namespace {

void run(const ingot::fuzz::Input& input) {
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

// Structure-blind damage: bytes, 64-bit words with interesting values, cuts and repeats.
ingot::fuzz::Input damaged(ingot::fuzz::Input input, std::mt19937& random) {
  const int changes = 1 + static_cast<int>(random() % 6);
  for (int i = 0; i < changes && !input.empty(); ++i) {
    // Half of the damage goes to the front, where headers are.
    const std::size_t reach =
        random() % 2 == 0 ? std::min<std::size_t>(input.size(), 256) : input.size();
    const std::size_t at = random() % reach;
    switch (random() % 5) {
      case 0:
        input[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
        break;
      case 1:
        input[at] = static_cast<std::uint8_t>(random());
        break;
      case 2: {
        static constexpr std::uint8_t kWords[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        const std::uint8_t word = kWords[random() % std::size(kWords)];
        for (std::size_t n = at; n < input.size() && n < at + 8; ++n) input[n] = word;
        break;
      }
      case 3:
        input.resize(at);
        break;
      default: {
        const std::size_t length = std::min<std::size_t>(input.size() - at, 1 + random() % 64);
        const ingot::fuzz::Input piece(input.begin() + static_cast<std::ptrdiff_t>(at),
                                       input.begin() + static_cast<std::ptrdiff_t>(at + length));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(random() % input.size()),
                     piece.begin(), piece.end());
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    run(ingot::fuzz::Input(std::istreambuf_iterator<char>(file), {}));
  }
  if (argc > 1) return 0;
  std::mt19937 random(1);
  int runs = 0;
  for (const auto& seed : ingot::fuzz::seeds()) {
    run(seed);
    for (int i = 0; i < 150; ++i, ++runs) run(damaged(seed, random));
  }
  run({});
  std::printf("%d inputs\n", runs + 1);
}
