// Every kind of qcow2 that qemu-img and qemu-io make decodes bit for bit to what qemu-img convert
// makes of it.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/command.hpp"
#include "tests/support/decode.hpp"

namespace ingot::test {
namespace {

struct Case {
  int version;
  std::string cluster;      // as qemu-img takes it
  std::string compression;  // "none", "zlib", "zstd"
  std::string scenario;
};

std::string label(const Case& c) {
  return "v" + std::to_string(c.version) + "_" + c.cluster + "_" + c.compression + "_" + c.scenario;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const int version : {2, 3})
    for (const char* cluster : {"512", "4k", "64k", "2M"})
      for (const char* compression : {"none", "zlib", "zstd"})
        for (const char* scenario :
             {"sequential", "out_of_order", "resized", "odd_size", "random_writes", "snapshotted",
              "prealloc_metadata", "prealloc_falloc", "prealloc_full", "extended_l2", "trimmed"}) {
          const std::string s = scenario;
          const bool compressed = std::string(compression) != "none";
          if (version == 2 && (std::string(compression) == "zstd" || s == "extended_l2")) continue;
          if (s == "extended_l2" && (std::string(cluster) == "512" || std::string(cluster) == "4k"))
            continue;
          if (compressed && (s.starts_with("prealloc") || s == "random_writes" || s == "trimmed"))
            continue;
          cases.push_back({version, cluster, compression, s});
        }
  return cases;
}

class Qcow2Matrix : public testing::TestWithParam<Case> {
 protected:
  // 12 MiB of everything a disk has: noise, text, zeros, and holes of several sizes.
  static void SetUpTestSuite() {
    dir = new TempDir;
    std::mt19937 random(20240607);
    std::vector<std::byte> disk(12 * MiB);
    for (std::size_t at = 0; at < disk.size();) {
      const std::size_t length =
          std::min<std::size_t>(disk.size() - at, 512 * (1 + random() % 1500));
      const auto kind = random() % 4;
      for (std::size_t i = at; i < at + length && kind != 0; ++i)
        disk[i] = static_cast<std::byte>(kind == 1 ? random() : 'a' + random() % 5);
      at += length;
    }
    write_file(dir->path("base.raw"), disk);
    disk.resize(disk.size() - 37 * 512);
    write_file(dir->path("odd.raw"), disk);
  }
  static void TearDownTestSuite() {
    delete dir;
    dir = nullptr;
  }

  // qemu-io commands that write, zero and discard all over a 12 MiB disk, in no order.
  static std::string random_io(unsigned seed, bool trim) {
    std::mt19937 random(seed);
    std::string commands;
    for (int i = 0; i < 40; ++i) {
      const auto sectors = 1 + random() % 400;
      const auto at = random() % (12 * 2048 - sectors);
      const std::string range =
          " " + std::to_string(at * 512) + " " + std::to_string(sectors * 512);
      const auto kind = random() % 8;
      if (trim && kind < 3)
        commands += " -c 'discard" + range + "'";
      else if (kind == 3)
        commands += " -c 'write -z" + range + "'";
      else
        commands += " -c 'write -P " + std::to_string(1 + random() % 255) + range + "'";
    }
    return commands;
  }

  static std::string make(const Case& c) {
    const std::string out = dir->path(label(c) + ".qcow2");
    std::string options =
        "cluster_size=" + c.cluster + ",compat=" + (c.version == 2 ? "0.10" : "1.1");
    if (c.compression == "zstd") options += ",compression_type=zstd";
    if (c.scenario == "extended_l2") options += ",extended_l2=on";
    const std::string source = dir->path(c.scenario == "odd_size" ? "odd.raw" : "base.raw");
    const std::string flag = c.compression == "none" ? "" : " -c";
    const std::string order = c.scenario == "out_of_order" ? " -W -m 8" : "";
    const std::string io = "qemu-io -d unmap" + random_io(c.version * 7U, c.scenario == "trimmed");
    if (c.scenario.starts_with("prealloc")) {
      options += ",preallocation=" + c.scenario.substr(9);
      run("qemu-img create -q -f qcow2 -o " + options + " " + out + " 12M");
      run(io + " " + out);
    } else if (c.scenario == "random_writes" || c.scenario == "trimmed") {
      run("qemu-img create -q -f qcow2 -o " + options + " " + out + " 12M");
      run(io + " " + out);
    } else {
      run("qemu-img convert -f raw -O qcow2" + flag + order + " -o " + options + " " + source +
          " " + out);
      if (c.scenario == "resized") run("qemu-img resize -q " + out + " +3G");
      if (c.scenario == "snapshotted") {
        run("qemu-img snapshot -c before " + out);
        run(io + " " + out);
      }
      if (c.scenario == "extended_l2") run(io + " " + out);
    }
    return out;
  }

  static TempDir* dir;
};
TempDir* Qcow2Matrix::dir = nullptr;

TEST_P(Qcow2Matrix, IsBitForBitWhatQemuImgConvertMakes) {
  Case c = GetParam();
  const std::string image = make(c);
  const std::string raw = image + ".raw";
  // A grown image is 3 GiB of zeros behind 12 MiB: what is compared is the part that says anything,
  // and that the rest was covered by zeros.
  run("qemu-img convert -f qcow2 -O raw " + image + " " + raw);
  const auto file = read_file(image);
  const auto size = std::filesystem::file_size(raw);
  for (const bool ranges : {true, false}) {
    SCOPED_TRACE(ranges ? "with ranges" : "without ranges");
    FirstError job;
    MemoryStream stream(file, {.ranges = ranges, .stop = job.token()});
    RecordingSink sink({}, 16, job.token());
    MemoryScratch scratch(64 * MiB);
    ProgressCounters counters;
    SilentListener listener;
    // Small enough that images with late tables are prefetched or parked.
    const auto decoded =
        imaging::decode_qcow2(stream, {sink, scratch, counters, listener, job, 2 * MiB, 2});
    ASSERT_TRUE(decoded.has_value()) << job.or_else(decoded.error()).message();
    EXPECT_EQ(*decoded, size);
    EXPECT_TRUE(sink.complete(size));
    EXPECT_TRUE(sink.violations().empty());
    const std::uint64_t compared = std::min<std::uint64_t>(size, 13 * MiB);
    std::ifstream expected_file(raw, std::ios::binary);
    std::vector<std::byte> expected(compared);
    expected_file.read(reinterpret_cast<char*>(expected.data()),
                       static_cast<std::streamsize>(compared));
    ASSERT_TRUE(sink.image(compared) == expected);
    EXPECT_LE(sink.data_end(), compared);
  }
  std::filesystem::remove(image);
  std::filesystem::remove(raw);
}

INSTANTIATE_TEST_SUITE_P(All, Qcow2Matrix, testing::ValuesIn(all_cases()),
                         [](const auto& c) { return label(c.param); });

// An image that starts with a gap of this size, and whose tables take many clusters.
TEST(Qcow2Large, ATebibyteOfNothingWithAFewClusters) {
  const TempDir dir;
  const std::string image = dir.path("t.qcow2");
  run("qemu-img create -q -f qcow2 " + image + " 1T");
  run("qemu-io -c 'write -P 1 0 64k' -c 'write -P 2 549755813888 64k' -c 'write -P 3 "
      "1099511562240 64k' " +
      image);
  FirstError job;
  MemoryStream stream(read_file(image), {});
  RecordingSink sink;
  MemoryScratch scratch;
  ProgressCounters counters;
  SilentListener listener;
  const auto decoded =
      imaging::decode_qcow2(stream, {sink, scratch, counters, listener, job, 32 * MiB, 2});
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_EQ(*decoded, 1ULL << 40);
  EXPECT_TRUE(sink.complete(1ULL << 40));
  EXPECT_EQ(sink.bytes_written(), 3 * 64 * KiB);
}

}  // namespace
}  // namespace ingot::test
