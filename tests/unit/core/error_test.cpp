#include "disk/core/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <thread>

namespace ingot {
namespace {

TEST(Error, EveryCodeHasANameOfItsOwnThatBeginsWithItsClass) {
  std::set<std::string_view> names;
  for (const Errc code : all_error_codes()) {
    EXPECT_TRUE(names.insert(name(code)).second) << name(code);
    const auto cls = name(class_of(code));
    EXPECT_EQ(name(code).substr(0, cls.size()), cls) << name(code);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Errc::cancelled) + 1);
}

// Names and classes are a contract with scripts: a change here is a breaking change.
TEST(Error, NamesAndClassesThatAreReliedOn) {
  EXPECT_EQ(name(Errc::source_http_status), "source.http-status");
  EXPECT_EQ(name(Errc::checksum_mismatch), "checksum.mismatch");
  EXPECT_EQ(name(Errc::image_not_streamable), "image.not-streamable");
  EXPECT_EQ(name(Errc::device_too_small), "device.too-small");
  EXPECT_EQ(name(Errc::write_io), "write.io");
  EXPECT_EQ(name(Errc::cancelled), "cancelled");
  EXPECT_EQ(class_of(Errc::usage_checksum), ErrorClass::usage);
  EXPECT_EQ(class_of(Errc::access_denied), ErrorClass::access);
  EXPECT_EQ(class_of(Errc::controller_refused), ErrorClass::controller);
  EXPECT_EQ(class_of(Errc::internal_bug), ErrorClass::internal);
}

TEST(Error, ContextIsReadFromTheOutsideIn) {
  const Error inner(Errc::write_io, "at byte 42: Input/output error", "replace the disk");
  const Error outer = inner.with_context("writing /dev/sda").with_context("deploying");
  EXPECT_EQ(outer.message(), "deploying: writing /dev/sda: at byte 42: Input/output error");
  EXPECT_EQ(outer.advice(), "replace the disk");
  EXPECT_EQ(outer.code(), Errc::write_io);
  EXPECT_EQ(outer.cls(), ErrorClass::write);
  EXPECT_EQ(inner.message(), "at byte 42: Input/output error");  // untouched
}

TEST(Error, OfTheSystemCarriesItsText) {
  const Error error = system_error(Errc::device_missing, "opening /dev/nope", ENOENT, "look");
  EXPECT_EQ(error.message(), "opening /dev/nope: No such file or directory");
  EXPECT_EQ(error.advice(), "look");
}

TEST(Error, CopiesAreReadByManyThreads) {
  const Error error(Errc::image_corrupt, "text");
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([copy = error] {
      for (int k = 0; k < 100; ++k) EXPECT_EQ(copy.with_context("c").message(), "c: text");
    });
}

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Errc::usage_option, "odd");
  return value / 2;
}
Result<std::unique_ptr<int>> quarter(int value) {
  INGOT_TRY_ASSIGN(const int once, half(value));
  INGOT_TRY_ASSIGN(auto twice, half(once));
  INGOT_TRY(half(0));
  return std::make_unique<int>(twice);
}

TEST(Error, TryPassesValuesOnAndErrorsBack) {
  const auto good = quarter(8);
  ASSERT_TRUE(good);
  EXPECT_EQ(**good, 2);
  const auto bad = quarter(6);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Errc::usage_option);
}

}  // namespace
}  // namespace ingot
