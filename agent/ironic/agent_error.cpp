#include "agent/ironic/agent_error.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

namespace ingot::agent {
namespace {

struct Class {
  std::string_view type;
  int code;
  std::string_view message;
};

constexpr std::array kClasses{
    Class{"InvalidCommandError", 400, "Invalid command"},
    Class{"InvalidCommandParamsError", 400, "Invalid command parameters"},
    Class{"NotFound", 404, "Not found"},
    Class{"AgentIsBusy", 409, "Agent is busy"},
    Class{"VersionMismatch", 409, "Hardware manager version mismatch"},
    Class{"HardwareManagerMethodNotFound", 500, "No HardwareManager found to handle method"},
    Class{"CommandExecutionError", 500, "Command execution failed"},
    Class{"CleaningError", 500, "Clean step failed"},
    Class{"DeploymentError", 500, "Deploy step failed"},
    Class{"ServicingError", 500, "Service step failed"},
    Class{"BlockDeviceEraseError", 500, "Error erasing block device"},
    Class{"ProtectedDeviceError", 500, "Protected device located, cannot proceed"},
    Class{"SystemRebootError", 500, "Error rebooting system"},
    Class{"DeviceNotFound", 404, "Error finding the disk or partition device"},
    Class{"ImageDownloadError", 500, "Error downloading image"},
    Class{"ImageDownloadTimeoutError", 408, "Image download has timed out"},
    Class{"ImageChecksumError", 500, "Error verifying image checksum"},
    Class{"ImageWriteError", 500, "Error writing image to device"},
    Class{"InvalidImage", 500, "Error checking image"},
};

// At most `limit` bytes of `text` (at least 4), not cut in the middle of a UTF-8 sequence.
std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  constexpr std::string_view kMore = " …";
  std::size_t end = limit - kMore.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text.append(kMore);
}

AgentError of_class(std::string_view type, std::string details) {
  for (const auto& known : kClasses)
    if (known.type == type)
      return {std::string(known.type), known.code, std::string(known.message),
              shortened(std::move(details), kMaxDetails)};
  return of_class("CommandExecutionError", std::move(details));
}

std::string_view type_of(const Error& error) {
  switch (error.code()) {
    case Errc::device_no_match:
    case Errc::device_missing:
    case Errc::usage_hints:
      return "DeviceNotFound";
    case Errc::source_deadline:
      return "ImageDownloadTimeoutError";
    case Errc::usage_option:
    case Errc::usage_checksum:
    case Errc::usage_manifest:
      return "InvalidCommandParamsError";
    case Errc::write_erase:
      return "BlockDeviceEraseError";
    default:
      break;
  }
  switch (error.cls()) {
    case ErrorClass::source:
      return "ImageDownloadError";
    case ErrorClass::checksum:
      return "ImageChecksumError";
    case ErrorClass::image:
      return "InvalidImage";
    case ErrorClass::write:
      return "ImageWriteError";
    case ErrorClass::device:
    case ErrorClass::usage:
      return "DeploymentError";
    default:
      return "CommandExecutionError";
  }
}

}  // namespace

AgentError agent_error(const Error& error) {
  std::string advice = error.advice();
  if (!advice.empty()) {
    // A sentence of its own, unless it begins with a name: an option, a command, a path.
    const auto word = advice.substr(0, advice.find(' '));
    if (word.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos)
      advice[0] = static_cast<char>(advice[0] - 'a' + 'A');
    advice = ". " + advice;
  }
  // Of one that is too long the middle is left out: what to do, and the code, are at its end.
  const std::string end =
      fmt::format("{} [{}]", shortened(std::move(advice), kMaxDetails / 2), name(error.code()));
  return of_class(type_of(error), shortened(error.message(), kMaxDetails - end.size()) + end);
}

AgentError invalid_command(std::string details) {
  return of_class("InvalidCommandError", std::move(details));
}
AgentError invalid_parameters(std::string details) {
  return of_class("InvalidCommandParamsError", std::move(details));
}
AgentError not_found(std::string details) {
  return of_class("NotFound", std::move(details));
}
AgentError busy(std::string details) {
  return of_class("AgentIsBusy", std::move(details));
}
AgentError version_mismatch(std::string details) {
  return of_class("VersionMismatch", std::move(details));
}
AgentError method_not_found(std::string details) {
  return of_class("HardwareManagerMethodNotFound", std::move(details));
}
AgentError failure(const std::string& type, std::string details) {
  return of_class(type, std::move(details));
}

}  // namespace ingot::agent
