// What qemu-img info may say before qemu-img convert is started. The first case is its real answer;
// the others change one field of it.
#include "imaging/qemu_img_info.hpp"

#include <gtest/gtest.h>

#include <string>

namespace ingot::imaging {
namespace {

const std::string kExport =
    R"("json:{\"server.str\": \"3\", \"driver\": \"nbd\", \"export\": \"source\", \"server.type\": \"fd\"}")";
const std::string kVmdk = R"({
  "virtual-size": 20975104, "cluster-size": 65536, "format": "vmdk", "dirty-flag": false,
  "filename": "json:{\"driver\": \"vmdk\"}",
  "format-specific": {"type": "vmdk", "data": {
    "cid": 206802250, "parent-cid": 4294967295, "create-type": "streamOptimized",
    "extents": [{"compressed": true, "virtual-size": 20975104, "filename": )" +
                          kExport + R"(, "cluster-size": 65536, "format": ""}]}}})";

std::string with(const std::string& from, const std::string& to) {
  auto text = kVmdk;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void refused(const std::string& text, Errc code, std::string_view field) {
  SCOPED_TRACE(text);
  const auto size = judge_qemu_info(text, ImageFormat::vmdk);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().code(), code);
  EXPECT_NE(size.error().message().find(field), std::string::npos) << size.error().message();
}

TEST(QemuImgInfo, ARealAnswerGivesTheVirtualSize) {
  EXPECT_EQ(judge_qemu_info(kVmdk, ImageFormat::vmdk), 20975104U);
  EXPECT_EQ(judge_qemu_info(R"({"virtual-size": 512, "format": "vpc"})", ImageFormat::vhd), 512U);
  EXPECT_EQ(
      judge_qemu_info(R"({"virtual-size": 512, "format": "vdi", "children": [{"name": "file"}]})",
                      ImageFormat::vdi),
      512U);
}

TEST(QemuImgInfo, WhatNeedsAnotherFileIsRefusedByName) {
  const std::string dirty = "\"dirty-flag\": false";
  for (const std::string field :
       {"backing-filename", "full-backing-filename", "backing-filename-format", "data-file"})
    refused(with(dirty, "\"" + field + "\": \"/etc/passwd\""), Errc::image_unsupported, field);
  refused(with("\"cid\": 206802250", "\"data-file\": \"x\""), Errc::image_unsupported, "data-file");
  refused(with(dirty, "\"children\": [{\"name\": \"backing\"}]"), Errc::image_unsupported,
          "children");
  refused(with(dirty, "\"encrypted\": true"), Errc::image_unsupported, "encrypted");
  refused(with("\"cid\": 206802250", "\"encrypt\": {\"format\": \"luks\"}"),
          Errc::image_unsupported, "encrypt");
  refused(with("streamOptimized", "monolithicFlat"), Errc::image_unsupported, "create-type");
  refused(with(kExport, "\"/etc/passwd\""), Errc::image_unsupported, "extents");
  refused(with(kExport, "\"json:{\\\"driver\\\": \\\"file\\\", \\\"export\\\": \\\"source\\\"}\""),
          Errc::image_unsupported, "extents");
  refused(with("\"extents\": [", "\"extents\": [{},"), Errc::image_unsupported, "extents");
  refused(with("\"extents\"", "\"other\""), Errc::image_unsupported, "extents");
}

TEST(QemuImgInfo, DamageAndNonsense) {
  refused(with("\"dirty-flag\": false", "\"dirty-flag\": true"), Errc::image_corrupt, "dirty-flag");
  refused(with("\"cid\": 206802250", "\"corrupt\": true"), Errc::image_corrupt, "corrupt");
  for (const std::string size : {"0", "-5", "1e300", "1.5", "\"512\"", "18446744073709551615"})
    refused(
        with("\"virtual-size\": 20975104, \"cluster", "\"virtual-size\": " + size + ", \"cluster"),
        Errc::image_corrupt, "virtual-size");
  refused(with("\"format\": \"vmdk\"", "\"format\": \"raw\""), Errc::image_convert, "raw");
  refused("", Errc::image_convert, "JSON");
  refused("[]", Errc::image_convert, "JSON");
  refused("{", Errc::image_convert, "JSON");
  refused(std::string(10'000, '['), Errc::image_convert, "JSON");
}

}  // namespace
}  // namespace ingot::imaging
