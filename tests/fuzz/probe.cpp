// Fuzz target: the first block of an image through the format probe.
#include "imaging/probe.hpp"

#include <cstdlib>

#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> head(reinterpret_cast<const std::byte*>(data), size);
  for (const bool allow : {false, true}) {
    const auto verdict = imaging::probe_image(head, std::nullopt, allow);
    if (!verdict &&
        (verdict.error().cls() != ErrorClass::image || verdict.error().message().empty()))
      std::abort();
  }
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  Input disk(4096, 0);  // a protective MBR and a GPT header
  disk[510] = 0x55;
  disk[511] = 0xaa;
  disk[450] = 0xee;
  const char* signature = "EFI PART";
  std::copy(signature, signature + 8, disk.begin() + 512);
  Input ext4(8192, 0);
  ext4[1024 + 56] = 0x53;
  ext4[1024 + 57] = 0xef;
  const std::string html = "<!DOCTYPE html><html><body>404</body></html>";
  return {disk, ext4, Input(html.begin(), html.end()), {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3}};
}
