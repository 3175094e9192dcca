/// Valid qcow2 files to start from: of qemu-img, with everything it can put into one, and of our
/// own builder.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/qcow2_builder.hpp"

namespace ingot::differential {

using File = std::vector<std::byte>;

inline File read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  File file(text.size());
  std::memcpy(file.data(), text.data(), text.size());
  return file;
}

inline void write_file(const std::string& path, const File& file) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

inline void shell(const std::string& command) {
  // NOLINTNEXTLINE: a test program, with commands of its own
  if (std::system((command + " >/dev/null").c_str()) != 0)
    throw std::runtime_error("failed: " + command);
}

/// What qemu-img and qemu-io make, in `dir`. Throws when one of them fails.
inline std::vector<File> images_of_qemu(const std::string& dir) {
  const std::string image = dir + "/base.qcow2";
  const std::string raw = dir + "/base.raw";
  // 1 MiB and three sectors: text, zeros, noise, by turns of odd lengths.
  std::mt19937 random(7);
  File disk((1 << 20) + 3 * 512);
  for (std::size_t at = 0; at < disk.size();) {
    const unsigned kind = static_cast<unsigned>(random() % 3);
    const std::size_t end = std::min<std::size_t>(disk.size(), at + 1000 + random() % 60000);
    for (; at < end; ++at)
      disk[at] = kind == 0   ? std::byte{0}
                 : kind == 1 ? static_cast<std::byte>('a' + random() % 4)
                             : static_cast<std::byte>(random());
  }
  write_file(raw, disk);

  std::vector<File> files;
  const auto keep = [&] { files.push_back(read_file(image)); };
  for (const char* how :
       {"", "-c", "-c -o compression_type=zstd", "-c -o compat=0.10,cluster_size=4k",
        "-o compat=0.10", "-o cluster_size=512", "-c -o cluster_size=512",
        "-o cluster_size=2k,refcount_bits=1", "-c -o extended_l2=on,cluster_size=16k",
        "-c -o compression_type=zstd,cluster_size=4k", "-o lazy_refcounts=on,cluster_size=8k"}) {
    shell("qemu-img convert -q -f raw -O qcow2 " + std::string(how) + " " + raw + " " + image);
    keep();
  }
  for (const char* how : {"cluster_size=4k", "compat=0.10,cluster_size=4k", "cluster_size=64k",
                          "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=64k",
                          "preallocation=metadata,cluster_size=4k"}) {
    shell("qemu-img create -q -f qcow2 -o " + std::string(how) + " " + image + " 2M");
    shell("qemu-io -c 'write -P 5 0 70k' -c 'write -P 6 900k 512' -c 'write -P 7 1300k 40k' " +
          image);
    keep();
    const bool version_2 = std::string(how).find("compat") != std::string::npos;
    shell("qemu-io -c 'write -z 4k 8k' -c 'write -z -u 1300k 16k' -c 'discard 16k 8k' " + image);
    shell("qemu-img snapshot -c one " + image);
    shell("qemu-io -c 'write -P 8 30k 9k' " + image);
    shell("qemu-img snapshot -c two " + image);
    shell("qemu-io -c 'write -P 9 1500k 3k' " + image);
    if (!version_2) shell("qemu-img bitmap --add " + image + " changes");
    keep();
  }
  return files;
}

/// An image of our own builder, in a layout that qemu-img never makes.
inline File built_image(std::mt19937_64& random) {
  const auto pick = [&](std::initializer_list<unsigned> from) {
    return *(from.begin() + static_cast<std::ptrdiff_t>(random() % from.size()));
  };
  test::Qcow2Layout layout;
  layout.seed = static_cast<std::uint32_t>(random());
  layout.version = pick({2, 3, 3});
  layout.cluster_bits = pick({9, 10, 12, 14, 16});
  if (layout.version == 3) {
    layout.extended_l2 = layout.cluster_bits >= 14 && pick({0, 1}) == 1;
    layout.zstd = pick({0, 1}) == 1;
  }
  layout.order = static_cast<test::Qcow2Layout::Order>(pick({0, 1, 2, 3}));
  layout.shuffle_data = pick({0, 1}) == 1;
  layout.compressed = pick({0, 5, 10}) / 10.0;
  layout.allocated = pick({5, 10}) / 10.0;
  const std::uint64_t clusters = 1 + random() % 150;
  layout.virtual_size = std::min<std::uint64_t>(clusters << layout.cluster_bits, 1 << 20);
  if (layout.virtual_size > 512) layout.virtual_size -= 512 * (random() % 2);
  return test::build_qcow2(layout).file;
}

}  // namespace ingot::differential
