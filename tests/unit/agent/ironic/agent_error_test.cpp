// Failures as the conductor reads them.
#include "agent/ironic/agent_error.hpp"

#include <gtest/gtest.h>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

TEST(AgentError, ClassesByCode) {
  const struct {
    Errc code;
    const char* type;
    int http;
    const char* message;
  } rows[] = {
      {Errc::checksum_mismatch, "ImageChecksumError", 500, "Error verifying image checksum"},
      {Errc::source_unreachable, "ImageDownloadError", 500, "Error downloading image"},
      {Errc::source_deadline, "ImageDownloadTimeoutError", 408, "Image download has timed out"},
      {Errc::image_corrupt, "InvalidImage", 500, "Error checking image"},
      {Errc::write_io, "ImageWriteError", 500, "Error writing image to device"},
      {Errc::write_erase, "BlockDeviceEraseError", 500, "Error erasing block device"},
      {Errc::device_no_match, "DeviceNotFound", 404, "Error finding the disk or partition device"},
      {Errc::usage_hints, "DeviceNotFound", 404, "Error finding the disk or partition device"},
      {Errc::device_missing, "DeviceNotFound", 404, "Error finding the disk or partition device"},
      {Errc::device_mounted, "DeploymentError", 500, "Deploy step failed"},
      {Errc::usage_checksum, "InvalidCommandParamsError", 400, "Invalid command parameters"},
      {Errc::internal_bug, "CommandExecutionError", 500, "Command execution failed"},
      {Errc::cancelled, "CommandExecutionError", 500, "Command execution failed"},
  };
  for (const auto& row : rows) {
    const AgentError error = agent_error(Error(row.code, "what happened"));
    EXPECT_EQ(error.type, row.type) << name(row.code);
    EXPECT_EQ(error.code, row.http) << name(row.code);
    EXPECT_EQ(error.message, row.message) << name(row.code);
    EXPECT_EQ(error.details, "what happened [" + std::string(name(row.code)) + "]");
  }
}

// The conductor takes that one for a difference between its API and the agent's.
TEST(AgentError, NoneIsATypeError) {
  for (const Errc code : all_error_codes()) {
    const AgentError error = agent_error(Error(code, "x"));
    EXPECT_NE(error.type, "TypeError") << name(code);
    EXPECT_FALSE(error.type.empty() || error.message.empty()) << name(code);
    EXPECT_GE(error.code, 400) << name(code);
  }
  EXPECT_EQ(failure("TypeError", "x").type, "CommandExecutionError");
  EXPECT_EQ(failure("", "x").type, "CommandExecutionError");
}

TEST(AgentError, TheAdviceIsASentenceOfItsOwn) {
  EXPECT_EQ(agent_error(Error(Errc::source_tls, "the server's name differs", "name it right")
                            .with_context("fetching"))
                .details,
            "fetching: the server's name differs. Name it right [source.tls]");
  // A name stays as it is.
  EXPECT_EQ(agent_error(Error(Errc::source_tls, "x", "qemu-img makes it")).details,
            "x. qemu-img makes it [source.tls]");
}

TEST(AgentError, ThoseOfTheProtocol) {
  EXPECT_EQ(invalid_command("x"), (AgentError{"InvalidCommandError", 400, "Invalid command", "x"}));
  EXPECT_EQ(invalid_parameters("x"),
            (AgentError{"InvalidCommandParamsError", 400, "Invalid command parameters", "x"}));
  EXPECT_EQ(not_found("x"), (AgentError{"NotFound", 404, "Not found", "x"}));
  EXPECT_EQ(busy("x"), (AgentError{"AgentIsBusy", 409, "Agent is busy", "x"}));
  EXPECT_EQ(version_mismatch("x").code, 409);
  EXPECT_EQ(version_mismatch("x").type, "VersionMismatch");
  EXPECT_EQ(method_not_found("x").message, "No HardwareManager found to handle method");
  for (const auto* type :
       {"CleaningError", "DeploymentError", "ServicingError", "BlockDeviceEraseError",
        "ProtectedDeviceError", "SystemRebootError", "DeviceNotFound", "CommandExecutionError"}) {
    EXPECT_EQ(failure(type, "x").type, type);
    EXPECT_FALSE(failure(type, "x").message.empty()) << type;
  }
}

TEST(AgentError, LengthIsLimitedAtACharactersBoundary) {
  EXPECT_EQ(busy(std::string(kMaxDetails, 'x')).details, std::string(kMaxDetails, 'x'));
  // Characters of two, three and four bytes, so that the cut falls on each of their bytes.
  for (const std::string character : {"ä", "…", "𝄞"})
    for (int shift = 0; shift < 4; ++shift) {
      std::string text(static_cast<std::size_t>(shift), 'x');
      while (text.size() <= kMaxDetails) text += character;
      const std::string details = failure("CleaningError", text).details;
      EXPECT_LE(details.size(), kMaxDetails);
      EXPECT_GT(details.size(), kMaxDetails - 8);
      EXPECT_TRUE(details.ends_with(" …"));
      EXPECT_EQ(utf8(details), details) << character << ", after " << shift;
      EXPECT_TRUE(text.starts_with(details.substr(0, details.size() - std::string(" …").size())));
    }
  const AgentError error = agent_error(Error(Errc::write_io, std::string(100'000, 'x')));
  EXPECT_LE(error.details.size(), kMaxDetails);
  EXPECT_TRUE(error.details.ends_with("x … [write.io]"));
  // What is left out is the end of the message; what to do is said whatever its length.
  const AgentError many =
      agent_error(Error(Errc::device_no_match, "none of " + std::string(100'000, 'x'), "look"));
  EXPECT_EQ(many.details.size(), kMaxDetails);
  EXPECT_TRUE(many.details.starts_with("none of xxx"));
  EXPECT_TRUE(many.details.ends_with("x …. Look [device.no-match]"));
  const AgentError loud = agent_error(Error(Errc::write_io, "small", std::string(100'000, 'y')));
  EXPECT_LE(loud.details.size(), kMaxDetails);
  EXPECT_TRUE(loud.details.starts_with("small. Yyy"));
  EXPECT_TRUE(loud.details.ends_with("y … [write.io]"));
  // Bytes that are no text at all end somewhere as well.
  EXPECT_LE(busy(std::string(20'000, '\x80')).details.size(), kMaxDetails);
}

}  // namespace
}  // namespace ingot::agent
