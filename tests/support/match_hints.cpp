// For test_root_device_hints.py: our matcher on inventories that no machine has.
//
// Reads one JSON object a line from standard input, {"hints": "JSON text", "disks": [{…}]}, and
// answers each with a line {"outcome": "chosen" | "none" | "invalid", "name": …, "message": …}.
#include <boost/json.hpp>
#include <iostream>
#include <string>

#include "agent/job/root_device_hints.hpp"
#include "tests/support/disk_from_json.hpp"

namespace json = boost::json;

namespace {

json::object answer(const std::string& line) {
  const json::object request = json::parse(line).as_object();
  const auto hints =
      ingot::agent::parse_root_device_hints(std::string(request.at("hints").as_string()));
  if (!hints) return {{"outcome", "invalid"}, {"message", hints.error().message()}};
  const auto chosen = hints->choose(ingot::test::disks_from_json(request.at("disks").as_array()));
  if (!chosen) return {{"outcome", "none"}, {"message", chosen.error().message()}};
  return {{"outcome", "chosen"}, {"name", chosen->name}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << json::serialize(answer(line)) << std::endl;
}
