// Malformed and hostile qcow2 images: each is refused with class `image` and a message that names
// the field, quickly, and without memory that a header asked for.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <functional>

#include "tests/support/command.hpp"
#include "tests/support/decode.hpp"
#include "tests/support/qcow2_builder.hpp"

namespace ingot::test {
namespace {

using File = std::vector<std::byte>;

std::uint64_t get(const File& file, std::uint64_t at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value = value << 8 | std::to_integer<unsigned>(file[at + static_cast<std::size_t>(i)]);
  return value;
}
void put(File& file, std::uint64_t at, std::uint64_t value, int bytes) {
  detail::put_be(file, at, value, bytes);
}

constexpr std::uint64_t kOffset = 0x00fffffffffffe00ULL;
std::uint64_t l1_at(const File& file) {
  return get(file, 40, 8);
}
std::uint64_t l2_at(const File& file) {
  return get(file, l1_at(file), 8) & kOffset;
}
// Where the n-th L2 entry of the wanted kind is.
std::uint64_t entry_at(const File& file, bool compressed, int n = 0) {
  const std::uint64_t table = l2_at(file);
  for (std::uint64_t at = table; at < table + 65536; at += 8) {
    const std::uint64_t entry = get(file, at, 8);
    if ((entry & kOffset) == 0 || ((entry >> 62 & 1) != 0) != compressed || (entry & 1) != 0)
      continue;
    if (n-- == 0) return at;
  }
  ADD_FAILURE() << "the base image has no such entry";
  return table;
}

struct Hostile {
  const char* name;
  const char* names_field;  // what the message has to say
  std::function<void(File&)> change;
};

const std::vector<Hostile>& hostiles() {
  static const std::vector<Hostile> all = {
      {"magic", "magic", [](File& f) { put(f, 0, 0x51464900, 4); }},
      {"version_0", "version", [](File& f) { put(f, 4, 0, 4); }},
      {"version_1", "version", [](File& f) { put(f, 4, 1, 4); }},
      {"version_4", "version", [](File& f) { put(f, 4, 4, 4); }},
      {"cluster_bits_0", "cluster_bits", [](File& f) { put(f, 20, 0, 4); }},
      {"cluster_bits_8", "cluster_bits", [](File& f) { put(f, 20, 8, 4); }},
      {"cluster_bits_22", "cluster_bits", [](File& f) { put(f, 20, 22, 4); }},
      {"cluster_bits_63", "cluster_bits", [](File& f) { put(f, 20, 63, 4); }},
      {"cluster_bits_max", "cluster_bits", [](File& f) { put(f, 20, 0xffffffff, 4); }},
      {"size_0", "size", [](File& f) { put(f, 24, 0, 8); }},
      {"size_odd_below_sector", "size", [](File& f) { put(f, 24, 511, 8); }},
      {"size_max", "size", [](File& f) { put(f, 24, ~0ULL, 8); }},
      {"size_2_63", "size", [](File& f) { put(f, 24, 1ULL << 63, 8); }},
      {"size_larger_than_l1", "l1_size", [](File& f) { put(f, 24, 1ULL << 40, 8); }},
      {"l1_size_0", "l1_size", [](File& f) { put(f, 36, 0, 4); }},
      {"l1_size_huge", "l1_size", [](File& f) { put(f, 36, 0xffffffff, 4); }},
      {"l1_size_over_limit", "l1_size", [](File& f) { put(f, 36, 4 * 1024 * 1024 + 1, 4); }},
      {"l1_offset_0", "l1_table_offset", [](File& f) { put(f, 40, 0, 8); }},
      {"l1_offset_unaligned", "l1_table_offset", [](File& f) { put(f, 40, 0x30010, 8); }},
      {"l1_offset_past_end", "l1_table_offset", [](File& f) { put(f, 40, 1ULL << 40, 8); }},
      {"l1_offset_max", "l1_table_offset", [](File& f) { put(f, 40, ~0ULL << 16, 8); }},
      {"backing_file", "backing_file_offset",
       [](File& f) {
         put(f, 8, 1024, 8);
         put(f, 16, 11, 4);
         const auto name = bytes_of("/etc/passwd");
         std::copy(name.begin(), name.end(), f.begin() + 1024);
       }},
      {"backing_file_json", "backing_file_offset",
       [](File& f) {
         put(f, 8, 1024, 8);
         put(f, 16, 40, 4);
         const auto name = bytes_of("json:{\"driver\":\"nbd\",\"host\":\"127.0.0.1\"}");
         std::copy(name.begin(), name.end(), f.begin() + 1024);
       }},
      {"backing_file_size_huge", "backing_file_size",
       [](File& f) {
         put(f, 8, 1024, 8);
         put(f, 16, 0xffffffff, 4);
       }},
      {"backing_file_offset_max", "backing_file",
       [](File& f) {
         put(f, 8, ~0ULL, 8);
         put(f, 16, 1000, 4);
       }},
      {"backing_file_offset_outside", "backing_file_offset", [](File& f) { put(f, 8, 65537, 8); }},
      {"no_refcounts", "refcount_table_clusters", [](File& f) { put(f, 56, 0, 4); }},
      {"refcounts_huge", "refcount_table_clusters", [](File& f) { put(f, 56, 129, 4); }},
      {"refcounts_unaligned", "refcount_table_offset", [](File& f) { put(f, 48, 0x10200, 8); }},
      {"refcounts_out_of_range", "refcount_table_offset",
       [](File& f) { put(f, 48, 0x7fffffffffff0000, 8); }},
      {"snapshots_too_many", "nb_snapshots", [](File& f) { put(f, 60, 65537, 4); }},
      {"snapshots_max", "nb_snapshots", [](File& f) { put(f, 60, 0xffffffff, 4); }},
      {"snapshots_unaligned", "snapshots_offset", [](File& f) { put(f, 64, 0x10200, 8); }},
      {"snapshots_out_of_range", "snapshots_offset",
       [](File& f) {
         put(f, 60, 65536, 4);
         put(f, 64, 0x7fffffffffff0000, 8);
       }},
      {"extension_too_long", "extension 0x12345678",
       [](File& f) {
         put(f, 112, 0x12345678, 4);
         put(f, 116, 65536 - 120 + 1, 4);
       }},
      {"extension_of_encryption", "encryption extension",
       [](File& f) { put(f, 112, 0x0537be77, 4); }},
      {"extension_of_a_long_format", "backing file's format",
       [](File& f) {
         put(f, 112, 0xe2792aca, 4);
         put(f, 116, 16, 4);
       }},
      {"extension_of_short_bitmaps", "bitmaps extension",
       [](File& f) {
         put(f, 112, 0x23852875, 4);
         put(f, 116, 16, 4);
       }},
      {"extension_of_no_bitmaps", "0 bitmaps",
       [](File& f) {
         put(f, 88, 1, 8);
         put(f, 112, 0x23852875, 4);
         put(f, 116, 24, 4);
       }},
      {"raw_data_file_that_is_none", "autoclear_features", [](File& f) { put(f, 88, 2, 8); }},
      {"size_a_byte_larger_than_l1", "l1_size",
       [](File& f) {
         put(f, 24, (512 << 20) + 1, 8);
         put(f, 36, 1, 4);
       }},
      {"encrypted_aes", "crypt_method", [](File& f) { put(f, 32, 1, 4); }},
      {"encrypted_luks", "crypt_method", [](File& f) { put(f, 32, 2, 4); }},
      {"corrupt_bit", "corrupt", [](File& f) { put(f, 72, 2, 8); }},
      {"data_file", "data file", [](File& f) { put(f, 72, 4, 8); }},
      {"unknown_incompatible", "incompatible_features", [](File& f) { put(f, 72, 1 << 5, 8); }},
      {"unknown_incompatible_63", "incompatible_features",
       [](File& f) { put(f, 72, 1ULL << 63, 8); }},
      {"refcount_order", "refcount_order", [](File& f) { put(f, 96, 7, 4); }},
      {"header_length_small", "header_length", [](File& f) { put(f, 100, 72, 4); }},
      {"header_length_huge", "header_length", [](File& f) { put(f, 100, 0xfffffff8, 4); }},
      {"compression_type_unknown", "compression_type", [](File& f) { put(f, 104, 9, 1); }},
      {"compression_bit_without_type", "compression_type", [](File& f) { put(f, 72, 8, 8); }},
      {"compression_type_without_bit", "compression_type", [](File& f) { put(f, 104, 1, 1); }},
      {"extended_l2_small_clusters", "cluster_bits",
       [](File& f) {
         put(f, 72, 16, 8);
         put(f, 20, 12, 4);
       }},
      {"l2_offset_unaligned", "L1 entry 0", [](File& f) { put(f, l1_at(f), l2_at(f) + 512, 8); }},
      {"l2_offset_past_end", "L1 entry 0", [](File& f) { put(f, l1_at(f), 1ULL << 44, 8); }},
      {"l2_offset_max", "L1 entry 0", [](File& f) { put(f, l1_at(f), kOffset & ~0xffffULL, 8); }},
      {"l2_in_the_first_cluster", "L1 entry 0",
       [](File& f) {
         // As large as a host offset gets without being 0 after alignment: inside the first
         // cluster.
         put(f, 20, 17, 4);  // 128 KiB clusters: the table at 64 KiB lies in the first of them
         put(f, 48, 0x20000, 8);
         put(f, l1_at(f), 0x10000, 8);
       }},
      {"l2_is_the_l1", "overlapping", [](File& f) { put(f, l1_at(f), l1_at(f), 8); }},
      {"data_unaligned", "L2 entry",
       [](File& f) { put(f, entry_at(f, false), (3ULL << 16) + 512, 8); }},
      {"data_past_end", "0x4000000000000, past the end",
       [](File& f) { put(f, entry_at(f, false), 1ULL << 50, 8); }},
      {"data_max", "L2 entry",
       [](File& f) { put(f, entry_at(f, false), kOffset & ~0xffffULL, 8); }},
      {"data_is_the_l1", "overlapping", [](File& f) { put(f, entry_at(f, false), l1_at(f), 8); }},
      {"data_is_the_l2", "overlapping", [](File& f) { put(f, entry_at(f, false), l2_at(f), 8); }},
      {"data_twice", "overlapping",
       [](File& f) { put(f, entry_at(f, false, 1), get(f, entry_at(f, false, 0), 8), 8); }},
      {"compressed_in_header", "compressed data",
       [](File& f) { put(f, entry_at(f, true), 1ULL << 62 | 1024, 8); }},
      {"compressed_past_end", "compressed data",
       [](File& f) { put(f, entry_at(f, true), 1ULL << 62 | 1ULL << 50, 8); }},
      {"compressed_twice", "overlapping",
       [](File& f) { put(f, entry_at(f, true, 1), get(f, entry_at(f, true, 0), 8), 8); }},
      {"compressed_in_the_l2", "",
       [](File& f) { put(f, entry_at(f, true), 1ULL << 62 | (l2_at(f) + 8), 8); }},
      {"compressed_damaged", "compressed cluster",
       [](File& f) {
         const auto at = get(f, entry_at(f, true), 8) & ((1ULL << 54) - 1);
         for (int i = 0; i < 64; ++i) f[at + static_cast<std::size_t>(i)] = std::byte{0xff};
       }},
      {"compressed_other_data", "compressed cluster",
       [](File& f) {
         const auto data = get(f, entry_at(f, false, 0), 8) & kOffset;
         put(f, entry_at(f, false, 0), 0, 8);
         put(f, entry_at(f, true), 1ULL << 62 | (data + 100), 8);
       }},
      {"truncated_in_header", "", [](File& f) { f.resize(60); }},
      {"truncated_in_v3_fields", "version 3", [](File& f) { f.resize(80); }},
      {"truncated_after_header", "", [](File& f) { f.resize(200); }},
      {"truncated_in_l1", "reaches past the end", [](File& f) { f.resize(l1_at(f) + 4); }},
      {"truncated_in_l2", "reaches past the end", [](File& f) { f.resize(l2_at(f) + 4096); }},
      {"truncated_in_data", "", [](File& f) { f.resize(f.size() - 300 * 1024); }},
      {"zero_cluster_in_v2", "zero cluster",
       [](File& f) {
         put(f, 4, 2, 4);
         put(f, entry_at(f, false), 1, 8);
       }},
  };
  return all;
}

File base_image() {
  Qcow2Layout layout;
  layout.virtual_size = 8 * MiB;
  layout.seed = 11;
  return build_qcow2(layout).file;
}

class HostileQcow2 : public testing::TestWithParam<std::tuple<Hostile, bool>> {};

TEST_P(HostileQcow2, IsRefusedByName) {
  const auto& [hostile, known_size] = GetParam();
  File image = base_image();
  hostile.change(image);
  DecodeOptions options;
  options.stream.known_size = known_size;
  options.stream.ranges = known_size;
  options.hold_limit = 1 * MiB;
  options.scratch = 4 * MiB;
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  const auto decoded = decode(imaging::decode_qcow2, image, options);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024) << "KiB more than before";
  ASSERT_FALSE(decoded.has_value());
  // A range that lies past the file's end is the server's refusal to give.
  EXPECT_EQ(decoded.error().cls(), ErrorClass::image) << decoded.error().message();
  // Where the file's length is not known, an offset past its end shows as a file that ends early.
  const bool blind = !known_size && (decoded.error().code() == Errc::image_truncated ||
                                     decoded.error().code() == Errc::image_not_streamable);
  if (!blind) {
    EXPECT_NE(decoded.error().message().find(hostile.names_field), std::string::npos)
        << decoded.error().message();
    EXPECT_FALSE(decoded.error().advice().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(All, HostileQcow2,
                         testing::Combine(testing::ValuesIn(hostiles()), testing::Bool()),
                         [](const auto& c) {
                           return std::string(std::get<0>(c.param).name) +
                                  (std::get<1>(c.param) ? "" : "_size_unknown");
                         });

TEST(HostileQcow2, TheBaseImageIsFine) {
  EXPECT_TRUE(decode(imaging::decode_qcow2, base_image()).has_value());
}

// Features that a reader may pass over: the image must decode all the same.
TEST(TolerantQcow2, UnknownCompatibleAndAutoclearBitsDirtyAndSnapshotsArePassedOver) {
  Qcow2Layout layout;
  auto built = build_qcow2(layout);
  put(built.file, 72, 1, 8);       // dirty
  put(built.file, 80, 0xff00, 8);  // unknown compatible
  put(built.file, 88, 0xff00, 8);  // unknown autoclear
  put(built.file, 60, 3, 4);       // snapshots
  put(built.file, 64, layout.virtual_size, 8);
  const auto decoded = decode(imaging::decode_qcow2, built.file);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  EXPECT_TRUE(decoded->disk == built.disk);
}

// Random damage: never a crash, a hang or an error of another class.
TEST(HostileQcow2, RandomDamageIsNeverWorseThanAnError) {
  std::mt19937 random(99);
  const File base = base_image();
  for (int i = 0; i < 60; ++i) {
    SCOPED_TRACE(i);
    File image = base;
    const std::uint64_t tables[] = {0, l1_at(base), l2_at(base)};
    for (int n = 0; n < 8; ++n) {
      const std::uint64_t at = tables[random() % 3] + random() % 1024;
      image[at] = static_cast<std::byte>(random());
    }
    FirstError job;
    MemoryStream stream(image, {.ranges = random() % 2 == 0, .stop = job.token()});
    RecordingSink sink(64 * MiB, 16, job.token());
    MemoryScratch scratch(8 * MiB);
    ProgressCounters counters;
    SilentListener listener;
    const auto size =
        imaging::decode_qcow2(stream, {sink, scratch, counters, listener, job, 512 * KiB, 2});
    if (size) continue;
    const Error error = job.or_else(size.error());
    EXPECT_TRUE(error.cls() == ErrorClass::image || error.cls() == ErrorClass::device ||
                error.code() == Errc::source_truncated)
        << error.message();
  }
}

}  // namespace
}  // namespace ingot::test
