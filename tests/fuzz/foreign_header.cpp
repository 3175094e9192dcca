// Fuzz target: the headers of vmdk, vhd, vhdx and vdi.
#include "imaging/foreign_header.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto* bytes = reinterpret_cast<const std::byte*>(data) + 1;
  const std::size_t length = size - 1;
  for (const bool all_here : {true, false}) {
    imaging::ForeignFile file;
    if (all_here) file.size = length;
    file.read = [&](std::uint64_t offset, std::span<std::byte> out) -> Result<bool> {
      if (offset > length || out.size() > length - offset) {
        if (!all_here) return false;
        return fail(Errc::image_truncated, "past the end", "fetch it again");
      }
      std::copy_n(bytes + offset, out.size(), out.begin());
      return true;
    };
    static constexpr imaging::ImageFormat kFormats[] = {
        imaging::ImageFormat::vmdk, imaging::ImageFormat::vhd, imaging::ImageFormat::vhdx,
        imaging::ImageFormat::vdi};
    const auto header = imaging::check_foreign_header(kFormats[data[0] % 4], file);
    if (!header && header.error().cls() != ErrorClass::image) std::abort();
    if (header && header->virtual_size > imaging::kMaxForeignSize) std::abort();
  }
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  const auto with = [](std::uint8_t format, std::size_t size, std::size_t at,
                       const std::string& magic) {
    Input input(1 + size, 0);
    input[0] = format;
    std::copy(magic.begin(), magic.end(), input.begin() + 1 + static_cast<std::ptrdiff_t>(at));
    return input;
  };
  return {with(0, 65536, 0,
               std::string("KDMV\1\0\0\0\3\0\0\0\0\0\1\0\0\0\0\0\200\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
                           "\24\0\0\0\0\0\0\0",
                           44)),
          with(1, 4096, 0, "conectix"), with(2, 1 << 20, 0, "vhdxfile"),
          with(3, 4096, 64, "\x7f\x10\xda\xbe")};
}
