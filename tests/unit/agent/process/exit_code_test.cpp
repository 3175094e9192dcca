// Exit codes: the contract, and that every error code is in the document.
#include "agent/process/exit_code.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ingot::agent {
namespace {

TEST(ExitCode, IsTheContract) {
  EXPECT_EQ(exit_code(ErrorClass::internal), 1);
  EXPECT_EQ(exit_code(ErrorClass::usage), 2);
  EXPECT_EQ(exit_code(ErrorClass::source), 3);
  EXPECT_EQ(exit_code(ErrorClass::checksum), 4);
  EXPECT_EQ(exit_code(ErrorClass::image), 5);
  EXPECT_EQ(exit_code(ErrorClass::device), 6);
  EXPECT_EQ(exit_code(ErrorClass::write), 7);
  EXPECT_EQ(exit_code(ErrorClass::controller), 8);
  EXPECT_EQ(exit_code(ErrorClass::access), 9);
  EXPECT_EQ(exit_code(ErrorClass::cancelled), 130);
}

TEST(ExitCode, EveryCodeIsDocumentedWithItsClassAndExitCode) {
  const auto path = std::filesystem::path(INGOT_SOURCE_DIR) / "docs/errors.md";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  for (const Errc code : all_error_codes()) {
    const ErrorClass cls = class_of(code);
    std::ostringstream row;
    row << "| `" << name(code) << "` | " << name(cls) << " | " << exit_code(cls) << " | ";
    EXPECT_NE(text.str().find(row.str()), std::string::npos) << row.str();
  }
}

}  // namespace
}  // namespace ingot::agent
