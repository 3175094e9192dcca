// For test_inspection.py: what inspection reports of this machine, without an Ironic to send it to.
//
// Reads one JSON object from standard input: {"collectors": […], "devices": […], "collect_lldp":
// false, "lldp_ms": 1000, "own_log": "…", "secrets": […]}, all but the first optional, and answers
// {"body": {…}, "notes": […]}. With {"logs_alone": true}: {"logs": "<base64>"}, as for a failed
// step.
#include <boost/json.hpp>
#include <iostream>
#include <iterator>
#include <string>

#include "agent/ironic/inspection_body.hpp"
#include "agent/text/base64.hpp"

namespace json = boost::json;
using namespace ingot;

namespace {

std::vector<std::string> texts(const json::object& request, const char* key) {
  std::vector<std::string> found;
  if (const auto* list = request.if_contains(key))
    for (const auto& text : list->as_array()) found.emplace_back(text.as_string());
  return found;
}

int complain(const Error& error) {
  std::cerr << error.message() << std::endl;
  return 1;
}

}  // namespace

int main() {
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  const json::object request = json::parse(text).as_object();
  agent::InspectionOptions options;
  options.inventory.devices = texts(request, "devices");
  options.logs.secrets = texts(request, "secrets");
  if (const auto* log = request.if_contains("own_log"))
    options.logs.own_log = std::string(log->as_string());
  if (const auto* lldp = request.if_contains("collect_lldp"))
    options.collect_lldp = lldp->as_bool();
  if (const auto* time = request.if_contains("lldp_ms"))
    options.lldp_timeout = std::chrono::milliseconds(time->to_number<int>());
  if (request.contains("logs_alone")) {
    const auto logs = agent::collect_system_logs(options.logs, {});
    if (!logs) return complain(logs.error());
    std::cout << json::object{{"logs", agent::to_base64(*logs)}} << std::endl;
    return 0;
  }
  const auto made = agent::inspection_body(texts(request, "collectors"), options, {});
  if (!made) return complain(made.error());
  std::cout << json::object{{"body", json::parse(made->json)},
                            {"notes", json::value_from(made->notes)}}
            << std::endl;
  return 0;
}
