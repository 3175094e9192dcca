// Fuzz target: anything through the decompressors and the tar reader.
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "imaging/decompressor.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/memory_stream.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  auto unwrapped =
      imaging::unwrap(std::make_unique<test::MemoryStream>(test::Bytes(bytes, bytes + size)), {});
  if (!unwrapped) return 0;
  // A bomb is stopped by whoever reads: here after 16 MiB.
  for (int i = 0; i < 16; ++i) {
    const auto slice = unwrapped->stream->next();
    if (!slice || slice->empty()) break;
  }
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "a disk image, line " + std::to_string(i * i) + "\n";
  Input gzip(text.size() + 1024);
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = gzip.data();
  stream.avail_out = static_cast<uInt>(gzip.size());
  deflate(&stream, Z_FINISH);
  gzip.resize(stream.total_out);
  deflateEnd(&stream);
  Input zstd(text.size() + 1024);
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), text.data(), text.size(), 3));
  // The shortest valid files of the others, so that their decoders are reached.
  const Input xz = {0xfd, '7',  'z', 'X', 'Z', 0,    0,    4,    0xe6, 0xd6, 0xb4,
                    0x46, 0,    0,   0,   0,   0x1c, 0xdf, 0x44, 0x21, 0x1f, 0xb6,
                    0xf3, 0x7d, 1,   0,   0,   0,    0,    4,    'Y',  'Z'};
  const Input bzip2 = {'B', 'Z', 'h', '9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0, 0, 0, 0};
  const Input lz4 = {0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0, 0, 0, 0, 0x05, 0x5d, 0xcc, 0x02};
  Input tar(10240, 0);
  const std::string name = "disk.raw", mode = "0000644", length = "00000000100", magic = "ustar";
  std::copy(name.begin(), name.end(), tar.begin());
  std::copy(mode.begin(), mode.end(), tar.begin() + 100);
  std::copy(length.begin(), length.end(), tar.begin() + 124);
  std::copy(magic.begin(), magic.end(), tar.begin() + 257);
  tar[156] = '0';
  return {gzip, zstd, xz, bzip2, lz4, tar};
}
