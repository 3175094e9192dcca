// Images that name other files, claim what cannot be, or end too soon: refused by our own readers,
// before qemu-img is started and before the target is touched.
#include "tests/unit/imaging/qemu_img_rig.hpp"

namespace ingot::imaging {
namespace {

std::string number(std::uint64_t value, std::size_t bytes, bool big_endian) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    text[big_endian ? bytes - 1 - i : i] = static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}
std::string le32(std::uint64_t value) {
  return number(value, 4, false);
}
std::string le64(std::uint64_t value) {
  return number(value, 8, false);
}
std::string be32(std::uint64_t value) {
  return number(value, 4, true);
}
std::string be64(std::uint64_t value) {
  return number(value, 8, true);
}

class Hostile : public testing::Test {
 protected:
  // Refused at once: with `code`, naming `field`, with nothing stored, verified or written.
  static void refused(const Bytes& image, ImageFormat format, Errc code, std::string_view field) {
    SCOPED_TRACE(field);
    for (const bool known_size : {true, false}) {
      SCOPED_TRACE(known_size ? "size known" : "size not known");
      Rig rig;
      rig.stream.known_size = known_size;
      const auto result = rig.decode(image, format);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code(), code) << result.error().message();
      EXPECT_NE(result.error().message().find(field), std::string::npos)
          << result.error().message();
      EXPECT_EQ(result.error().cls(), ErrorClass::image);
      EXPECT_TRUE(rig.sink.covered().empty());
      // The fields at a file's end wait for it; all others do not.
      if (known_size && rig.provider.opened != 0) {
        EXPECT_EQ(rig.verified, 1);
      }
    }
  }
};

// ---- vmdk ----

class HostileVmdk : public Hostile {
 protected:
  Bytes sparse = make_image(sample_disk(3 * MiB, 2), "vmdk", "subformat=monolithicSparse");
  Bytes stream = make_image(sample_disk(3 * MiB, 2), "vmdk", "subformat=streamOptimized");

  // `sparse` with its embedded descriptor replaced.
  Bytes described(std::string text) const {
    Bytes image = sparse;
    text.resize(20 * 512);
    patch(image, 512, text);
    return image;
  }
};

constexpr const char* kGoodDescriptor =
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
    "createType=\"monolithicSparse\"\n\nRW 6144 SPARSE \"disk.vmdk\"\n";

TEST_F(HostileVmdk, ADescriptorOfOurOwnIsFine) {
  Rig rig;
  const auto image = described(kGoodDescriptor);
  const auto result = rig.decode(image, ImageFormat::vmdk);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(rig.sink.image() == reference(image, "vmdk"));
}

TEST_F(HostileVmdk, ARealChildOfARealParent) {
  const TempDir dir;
  write_file(dir.file("base.vmdk"), sparse);
  run({"qemu-img", "create", "-f", "vmdk", "-b", dir.file("base.vmdk"), "-F", "vmdk",
       dir.file("child.vmdk")});
  refused(read_file(dir.file("child.vmdk")), ImageFormat::vmdk, Errc::image_unsupported, "parent");
}

TEST_F(HostileVmdk, EmbeddedDescriptorsThatNameOtherFiles) {
  const std::string good = kGoodDescriptor;
  const auto with = [&](const std::string& from, const std::string& to) {
    auto text = good;
    text.replace(text.find(from), from.size(), to);
    return described(text);
  };
  const auto refuse = [&](const Bytes& image, std::string_view field) {
    refused(image, ImageFormat::vmdk, Errc::image_unsupported, field);
  };
  refuse(described(good + "parentFileNameHint=\"/etc/passwd\"\n"), "parentFileNameHint");
  refuse(described(good + "PARENTFILENAMEHINT = x\n"), "parentFileNameHint");
  refuse(with("parentCID=ffffffff", "parentCID=00000001"), "parentCID");
  refuse(with("disk.vmdk", "/etc/passwd"), "/etc/passwd");
  refuse(with("disk.vmdk", "..\\\\x"), "names another file");
  refuse(with("disk.vmdk", "nbd:unix:x"), "names another file");
  refuse(with("disk.vmdk", "json:{}"), "names another file");
  refuse(with("\"disk.vmdk\"", "disk.vmdk"), "names another file");
  refuse(with("SPARSE \"disk.vmdk\"", "FLAT \"passwd\" 0"), "not of type SPARSE");
  refuse(with("RW 6144 SPARSE \"disk.vmdk\"", "RW 6144 ZERO"), "not of type SPARSE");
  refuse(described(good + "RW 6144 SPARSE \"second.vmdk\"\n"), "more than one extent");
  refuse(with("monolithicSparse", "monolithicFlat"), "createType");
  refuse(with("monolithicSparse", "twoGbMaxExtentSparse"), "createType");
  refused(with("createType=", "noType="), ImageFormat::vmdk, Errc::image_corrupt, "createType");
  refused(described(good + "createType=\"streamOptimized\"\n"), ImageFormat::vmdk,
          Errc::image_corrupt, "createType");
  refused(with("RW 6144 SPARSE \"disk.vmdk\"", ""), ImageFormat::vmdk, Errc::image_corrupt,
          "no extent");
}

TEST_F(HostileVmdk, AParentHintWhereOnlyQemuLooks) {
  // The header points to a harmless descriptor elsewhere; qemu reads the parent from byte 512.
  auto image = sparse;
  std::string text = kGoodDescriptor;
  text.resize(20 * 512);
  patch(image, 512, std::string(text).replace(0, 32, "parentFileNameHint=\"/etc/passwd\"", 0, 32));
  const std::size_t elsewhere = image.size() / 512;
  const auto moved = test::bytes_of(text);
  image.resize(elsewhere * 512);
  image.insert(image.end(), moved.begin(), moved.end());
  patch(image, 28, le64(elsewhere));
  refused(image, ImageFormat::vmdk, Errc::image_unsupported, "parentFileNameHint");
}

TEST_F(HostileVmdk, ATextDescriptor) {
  const auto text = test::bytes_of(
      "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
      "createType=\"monolithicFlat\"\nRW 2048 FLAT \"/etc/passwd\" 0\n" +
      std::string(1000, '#'));
  refused(text, ImageFormat::vmdk, Errc::image_unsupported, "text descriptor");
}

TEST_F(HostileVmdk, HeaderFieldsOutOfRange) {
  const auto with = [&](std::size_t at, const std::string& bytes) {
    auto image = sparse;
    patch(image, at, bytes);
    return image;
  };
  const auto corrupt = [&](const Bytes& image, std::string_view field) {
    refused(image, ImageFormat::vmdk, Errc::image_corrupt, field);
  };
  corrupt(with(0, "COWD"), "magic");
  corrupt(with(12, le64(0)), "capacity");  // makes qemu follow the descriptor
  corrupt(with(12, le64(UINT64_MAX)), "capacity");
  corrupt(with(12, le64(1ULL << 60)), "capacity");
  corrupt(with(28, le64(UINT64_MAX / 512)), "descriptor");
  corrupt(with(36, le64(1ULL << 40)), "descriptor");
  corrupt(with(36, le64(2049)), "descriptor");
  refused(with(4, le32(4)), ImageFormat::vmdk, Errc::image_unsupported, "version");
  refused(with(28, le64(0)), ImageFormat::vmdk, Errc::image_unsupported, "split disk");
}

TEST_F(HostileVmdk, TheFooterMustSayWhatTheHeaderSaid) {
  // A grain directory at the end: header, then footer (marker, header, end of stream).
  const std::string header(reinterpret_cast<const char*>(stream.data()), 512);
  auto image = stream;
  patch(image, 56, le64(UINT64_MAX));
  refused(image, ImageFormat::vmdk, Errc::image_truncated, "footer");

  const auto with_footer = [&](std::string copy) {
    auto whole = image;
    whole.resize(align_up(whole.size(), 512));
    const auto footer = test::bytes_of(le64(1) + le32(0) + le32(3) + std::string(496, '\0') + copy +
                                       std::string(512, '\0'));
    whole.insert(whole.end(), footer.begin(), footer.end());
    return whole;
  };
  {
    Rig rig;
    const auto result = rig.decode(with_footer(header), ImageFormat::vmdk);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_TRUE(rig.sink.image() == reference(stream, "vmdk"));
  }
  refused(with_footer(std::string(header).replace(12, 8, le64(0))), ImageFormat::vmdk,
          Errc::image_corrupt, "footer");
  refused(with_footer(std::string(header).replace(28, 8, le64(9))), ImageFormat::vmdk,
          Errc::image_corrupt, "footer");
  auto odd = with_footer(header);
  odd.push_back(std::byte{0});
  refused(odd, ImageFormat::vmdk, Errc::image_truncated, "sector");
}

// ---- vhd ----

class HostileVhd : public Hostile {
 protected:
  Bytes dynamic = make_image(sample_disk(3 * MiB, 4), "vpc", "subformat=dynamic,force_size=on");
  Bytes fixed = make_image(sample_disk(3 * MiB, 4), "vpc", "subformat=fixed,force_size=on");
  static Bytes with(Bytes image, std::size_t at, const std::string& bytes) {
    patch(image, at, bytes);
    return image;
  }
};

TEST_F(HostileVhd, Dynamic) {
  const auto corrupt = [&](const Bytes& image, std::string_view field) {
    refused(image, ImageFormat::vhd, Errc::image_corrupt, field);
  };
  refused(with(dynamic, 60, be32(4)), ImageFormat::vhd, Errc::image_unsupported, "differencing");
  corrupt(with(dynamic, 60, be32(2)), "disk type 2");
  corrupt(with(dynamic, 48, be64(0)), "current size");
  corrupt(with(dynamic, 48, be64(UINT64_MAX)), "current size");
  corrupt(with(dynamic, 16, be64(UINT64_MAX - 100)), "data offset");
  corrupt(with(dynamic, 16, be64(0)), "data offset");
  corrupt(with(dynamic, 512, "notspars"), "dynamic disk header");
  corrupt(with(dynamic, 512 + 32, be32(0)), "block size");
  corrupt(with(dynamic, 512 + 32, be32(3000)), "block size");
  Rig rig;
  const auto result = rig.decode(with(dynamic, 512 + 16, be64(1ULL << 60)), ImageFormat::vhd);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("table offset"), std::string::npos);

  auto cut = dynamic;
  cut.resize(cut.size() / 2);
  refused(cut, ImageFormat::vhd, Errc::image_truncated, "no footer at the end");
}

TEST_F(HostileVhd, Fixed) {
  const auto end = fixed.size() - 512;
  const auto refuse = [&](const Bytes& image, Errc code, std::string_view field) {
    Rig rig;
    const auto result = rig.decode(image, ImageFormat::vhd);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), code);
    EXPECT_NE(result.error().message().find(field), std::string::npos) << result.error().message();
    EXPECT_TRUE(rig.sink.covered().empty());
  };
  refuse(with(fixed, end + 60, be32(4)), Errc::image_unsupported, "differencing");
  refuse(with(fixed, end + 60, be32(3)), Errc::image_corrupt, "disk type 3");
  refuse(with(fixed, end + 48, be64(4 * MiB)), Errc::image_truncated, "current size");
  refuse(with(fixed, end, "xxxxxxxx"), Errc::image_corrupt, "footer");
  auto cut = fixed;
  cut.resize(cut.size() - 1000);
  refuse(cut, Errc::image_corrupt, "footer");
}

// ---- vhdx ----

class HostileVhdx : public Hostile {
 protected:
  static constexpr std::size_t kRegions = 192 * 1024;
  Bytes good = make_image(sample_disk(3 * MiB, 6), "vhdx", "block_size=1M");
  std::size_t metadata = 0, parameters = 0, size = 0;

  void SetUp() override {
    metadata = find(0, "metadata");
    parameters = item("\x37\x67\xa1\xca");
    size = item("\x24\x42\xa5\x2f");
  }
  [[nodiscard]] std::size_t find(std::size_t from, std::string_view what) const {
    const std::string_view text(reinterpret_cast<const char*>(good.data()), good.size());
    const auto at = text.find(what, from);
    EXPECT_NE(at, std::string_view::npos);
    return at;
  }
  [[nodiscard]] std::size_t item(std::string_view guid_start) const {
    std::uint32_t offset = 0;
    std::memcpy(&offset, good.data() + find(metadata, guid_start) + 16, 4);
    return metadata + offset;
  }
  Bytes with(std::size_t at, const std::string& bytes) const {
    auto image = good;
    patch(image, at, bytes);
    return image;
  }
};

TEST_F(HostileVhdx, Fields) {
  const auto corrupt = [&](const Bytes& image, std::string_view field) {
    refused(image, ImageFormat::vhdx, Errc::image_corrupt, field);
  };
  refused(with(parameters + 4, le32(2)), ImageFormat::vhdx, Errc::image_unsupported, "has-parent");
  const std::string locator("\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c", 16);
  refused(with(metadata + 32, locator), ImageFormat::vhdx, Errc::image_unsupported,
          "parent locator");
  corrupt(with(0, "vhdxfilm"), "signature");
  corrupt(with(kRegions, "xxxx"), "region table");
  corrupt(with(kRegions + 8, le32(2048)), "region table");
  corrupt(with(kRegions + 8, le32(0)), "no metadata region");
  corrupt(with(metadata, "xxxxxxxx"), "metadata table");
  corrupt(with(metadata + 10, std::string("\xff\xff", 2)), "metadata table");
  corrupt(with(metadata + 10, std::string("\0\0", 2)), "missing");
  corrupt(with(metadata + 32 + 16, le32(UINT32_MAX)), "out of range");
  corrupt(with(metadata + 32 + 16, le32(8)), "out of range");
  corrupt(with(size, le64(0)), "virtual disk size");
  corrupt(with(size, le64(UINT64_MAX)), "virtual disk size");
}

TEST_F(HostileVhdx, MetadataRegionsInImpossiblePlaces) {
  const auto entry = find(kRegions, "\x06\xa2\x7c\x8b");
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{4096}, UINT64_MAX & ~(MiB - 1)})
    refused(with(entry + 16, le64(offset)), ImageFormat::vhdx, Errc::image_corrupt,
            "metadata region");
  refused(with(entry + 24, le32(100)), ImageFormat::vhdx, Errc::image_corrupt, "metadata region");
  // Beyond the part that is looked at early, and beyond the file: known once the file is there.
  Rig rig;
  const auto result = rig.decode(with(entry + 16, le64(1ULL << 40)), ImageFormat::vhdx);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::image_truncated);
  EXPECT_TRUE(rig.sink.covered().empty());
}

TEST_F(HostileVhdx, MetadataBehindTheDataIsReadOnceTheFileIsParked) {
  // Moves the metadata region to the end of a file whose start is longer than what is read early.
  auto image = good;
  image.resize(align_up(image.size(), MiB) + 9 * MiB);
  const auto end = image.size();
  image.insert(image.end(), good.begin() + static_cast<std::ptrdiff_t>(metadata),
               good.begin() + static_cast<std::ptrdiff_t>(metadata + MiB));
  for (const std::size_t table : {kRegions, std::size_t{256 * 1024}}) {
    patch(image, find(table, "\x06\xa2\x7c\x8b") + 16, le64(end));
    // The table has a CRC-32C of itself, computed with the field at zero.
    patch(image, table + 4, le32(0));
    std::uint32_t crc = UINT32_MAX;
    for (std::size_t i = 0; i < 65536; ++i) {
      crc ^= std::to_integer<std::uint32_t>(image[table + i]);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    patch(image, table + 4, le32(~crc));
  }
  Rig rig;
  const auto result = rig.decode(image, ImageFormat::vhdx);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(rig.provider.keep, 0U);
  EXPECT_TRUE(rig.sink.image() == reference(good, "vhdx"));

  // The same, parked on the target where the decoded disk would go: noticed before the first write.
  Rig tight;
  FdScratch parked(tight.fd.get(), true, 2 * MiB, 1ULL << 40);
  OneScratch provider(parked);
  test::MemoryStream in(image, {});
  const DecodeContext context{tight.sink, provider, tight.counters, tight.listener, tight.job,
                              32 * MiB,   2};
  const auto overlap =
      decode_with_qemu_img(in, ImageFormat::vhdx, tight.verify, tight.timeout, context);
  ASSERT_FALSE(overlap);
  EXPECT_EQ(overlap.error().code(), Errc::image_not_streamable);
  EXPECT_TRUE(tight.sink.covered().empty());
}

// ---- vdi ----

TEST_F(Hostile, Vdi) {
  const auto good = make_image(sample_disk(3 * MiB, 8), "vdi", "");
  const auto with = [&](std::size_t at, const std::string& bytes) {
    auto image = good;
    patch(image, at, bytes);
    return image;
  };
  const auto unsupported = [&](const Bytes& image, std::string_view field) {
    refused(image, ImageFormat::vdi, Errc::image_unsupported, field);
  };
  unsupported(with(76, le32(4)), "differencing");
  unsupported(with(76, le32(3)), "image type 3");
  unsupported(with(76, le32(0)), "image type 0");
  unsupported(with(440, "\x01"), "parent UUID");
  unsupported(with(424 + 15, "\x01"), "parent UUID");
  unsupported(with(68, le32(0x20001)), "version");
  refused(with(64, "xxxx"), ImageFormat::vdi, Errc::image_corrupt, "signature");
  refused(with(368, le64(0)), ImageFormat::vdi, Errc::image_corrupt, "disk size");
  refused(with(368, le64(UINT64_MAX)), ImageFormat::vdi, Errc::image_corrupt, "disk size");
  refused(with(376, le32(0)), ImageFormat::vdi, Errc::image_corrupt, "block size");
  auto cut = good;
  cut.resize(cut.size() / 2);
  refused(cut, ImageFormat::vdi, Errc::image_truncated, "blocks");
}

// ---- all ----

TEST_F(Hostile, FilesThatEndInTheirHeader) {
  const std::vector<std::pair<ImageFormat, Bytes>> images = {
      {ImageFormat::vmdk, make_image(sample_disk(MiB, 1), "vmdk", "subformat=streamOptimized")},
      {ImageFormat::vhd, make_image(sample_disk(MiB, 1), "vpc", "")},
      {ImageFormat::vhdx, make_image(sample_disk(MiB, 1), "vhdx", "")},
      {ImageFormat::vdi, make_image(sample_disk(MiB, 1), "vdi", "")}};
  for (const auto& [format, image] : images) {
    for (const std::size_t length : {0, 1, 7, 100, 511, 513, 1024}) {
      SCOPED_TRACE(std::string(name(format)) + " of " + std::to_string(length));
      Rig rig;
      rig.stream.known_size = length % 2 == 0;
      const auto result = rig.decode(
          Bytes(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(length)), format);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().cls(), ErrorClass::image) << result.error().message();
      EXPECT_TRUE(rig.sink.covered().empty());
    }
  }
}

TEST_F(Hostile, GarbageInHeadersNeverCrashesOrReachesTheTarget) {
  std::mt19937 random(20);
  for (const auto format :
       {ImageFormat::vmdk, ImageFormat::vhd, ImageFormat::vhdx, ImageFormat::vdi}) {
    for (int round = 0; round < 8; ++round) {
      Bytes image(300'000);
      for (auto& byte : image) byte = static_cast<std::byte>(random());
      if (format == ImageFormat::vmdk) patch(image, 0, "KDMV");
      if (format == ImageFormat::vhd) patch(image, 0, "conectix");
      if (format == ImageFormat::vhdx) patch(image, 0, "vhdxfile");
      if (format == ImageFormat::vdi) patch(image, 64, "\x7f\x10\xda\xbe");
      Rig rig;
      const auto result = rig.decode(image, format);
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().cls(), ErrorClass::image);
      EXPECT_TRUE(rig.sink.covered().empty());
    }
  }
}

}  // namespace
}  // namespace ingot::imaging
