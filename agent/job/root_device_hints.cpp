#include "agent/job/root_device_hints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>
#include <vector>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
constexpr std::size_t kMostText = 64 * 1024;
constexpr std::size_t kDeepest = 4;  // one is enough; what is deeper is told apart from malformed

tl::unexpected<Error> refused(std::string message) {
  return fail(Errc::usage_hints, "root device hints: " + std::move(message),
              R"(give a JSON object like {"serial": "s== S1"}; docs/root-device-hints.md)");
}

}  // namespace

Result<disk::RootDeviceHints> parse_root_device_hints(std::string_view text) {
  if (text.size() > kMostText) return refused(fmt::format("{} bytes long", text.size()));
  json::parse_options options;
  options.max_depth = kDeepest;
  boost::system::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return refused("no JSON (" + error.message() + ")");
  if (!value.is_object()) return refused("no JSON object");
  std::vector<std::pair<std::string, disk::HintValue>> hints;
  for (const auto& [key, member] : value.get_object()) {
    disk::HintValue hint;
    if (member.is_string())
      hint = std::string(member.get_string());
    else if (member.is_int64())
      hint = member.get_int64();
    else if (member.is_bool())
      hint = member.get_bool();
    else
      return refused(fmt::format("{} is neither a string nor an integer nor a boolean",
                                 printable(std::string(key))));
    hints.emplace_back(std::string(key), std::move(hint));
  }
  return disk::RootDeviceHints::parse(hints);
}

std::vector<disk::Disk> without(std::vector<disk::Disk> disks,
                                const std::vector<disk::RootDeviceHints>& except) {
  std::erase_if(disks, [&](const disk::Disk& disk) {
    return std::ranges::any_of(
        except, [&](const disk::RootDeviceHints& hints) { return hints.why_not(disk).empty(); });
  });
  return disks;
}

}  // namespace ingot::agent
