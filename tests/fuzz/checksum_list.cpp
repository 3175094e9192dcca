// Fuzz target: the text of a checksum file, and of a checksum.
#include "imaging/checksum_list.hpp"

#include <cstdlib>
#include <string>

#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const imaging::ListedImage image("/pub/x/disk.img", "/pub/SUMS", true);
  const auto found = imaging::find_checksum(text, image, std::nullopt);
  if (!found && found.error().cls() != ErrorClass::checksum) std::abort();
  const auto literal = parse_checksum(text, DigestType::sha256);
  if (!literal && literal.error().cls() != ErrorClass::usage) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  const std::string sum(64, 'a');
  std::vector<Input> inputs;
  for (const std::string& text :
       {sum + "  disk.img\n" + sum + " *other.img\n", "# list\nSHA256 (disk.img) = " + sum + "\n",
        sum, "\\" + sum + "  di\\\\sk.img\r\n" + sum + "  ./x/disk.img\r\n",
        "# BLAKE2B HASH\n" + sum + sum + "  disk.img\n# SHA512 HASH\n" + sum + sum +
            "  x/disk.img\n",
        std::string("disk.img: SHA256 = BA7816BF 8F01CFEA 414140DE 5DAE2223 B00361A3 96177A9C\n"
                    "                   B410FF61 F20015AD\n")})
    inputs.emplace_back(text.begin(), text.end());
  return inputs;
}
