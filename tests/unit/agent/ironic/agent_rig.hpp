// The agent without its life: table, commands and REST API over a node, as agent.cpp puts them
// together, and questions to it as the conductor asks them.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/ironic/command_table.hpp"
#include "agent/ironic/node_state.hpp"
#include "agent/ironic/rest_api.hpp"
#include "agent/text/json_object.hpp"
#include "tests/unit/agent/ironic/waiting.hpp"

namespace ingot::test {

inline const std::string kToken = "m3Yk6vN7kq0r0mQ2Tz8m1xv5n2h9QJr4";

/// Commands are added to `table` before the first request.
class AgentRig {
 public:
  AgentRig() {
    agent::LookupAnswer answer;
    answer.uuid = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
    answer.token = kToken;
    node.adopt(answer);
    api.set_own_url("https://192.0.2.7:9999");
  }

  static std::string with_token(const std::string& target) {
    return target + (target.find('?') == std::string::npos ? "?" : "&") + "agent_token=" + kToken;
  }
  agent::HttpAnswer get(const std::string& target) { return api.answer({"GET", target, ""}); }
  agent::HttpAnswer post(const std::string& body, const std::string& query = "wait=false") {
    return api.answer({"POST", with_token("/v1/commands/?" + query), body});
  }
  /// The answer's object; a test failure if it has another status.
  static boost::json::object object(const agent::HttpAnswer& answer, unsigned status = 200) {
    EXPECT_EQ(answer.status, status) << answer.body;
    auto parsed = agent::parse_json_object(answer.body);
    EXPECT_TRUE(parsed) << answer.body;
    return parsed.value_or(boost::json::object());
  }

  /// Has a command run and waits for its end: its record.
  boost::json::object run(const std::string& name, const boost::json::object& params) {
    const auto begun = object(
        post(boost::json::serialize(boost::json::object{{"name", name}, {"params", params}})));
    const std::string id = agent::string_in(begun, "id");
    boost::json::object record;
    EXPECT_TRUE(eventually([&] {
      // What a synchronous one returned may be kept in part only.
      record = agent::string_in(begun, "command_status") == "RUNNING"
                   ? object(get(with_token("/v1/commands/" + id)))
                   : begun;
      return agent::string_in(record, "command_status") != "RUNNING";
    })) << name;
    return record;
  }
  /// The same with "deploy", "write_image", … and the step's arguments.
  boost::json::object step(const std::string& kind, const std::string& step,
                           const boost::json::object& args,
                           const boost::json::object& node_record) {
    return run(kind + ".execute_" + kind + "_step",
               {{"step", {{"step", step}, {"interface", "deploy"}, {"args", args}}},
                {"node", node_record},
                {"ports", boost::json::array()},
                {kind + "_version", nullptr}});
  }
  boost::json::array list() {
    const auto all = object(get(with_token("/v1/commands/")));
    const auto* commands = all.if_contains("commands");
    EXPECT_TRUE(commands != nullptr && commands->is_array());
    return commands != nullptr && commands->is_array() ? commands->get_array()
                                                       : boost::json::array();
  }

  agent::NodeState node;
  int ends = 0;  ///< of asynchronous commands; to be read when none runs
  agent::CommandTable table{{.on_end = [this](const agent::CommandRecord&) { ++ends; }}};
  agent::RestApi api{table, node};
};

inline std::string text_of(const boost::json::object& record) {
  return boost::json::serialize(record);
}

/// "SUCCEEDED", and if not, what the error says.
inline std::string status_of(const boost::json::object& record) {
  std::string text = agent::string_in(record, "command_status");
  if (const auto* error = agent::object_in(record, "command_error"))
    text += " " + agent::string_in(*error, "type") + ": " + agent::string_in(*error, "details");
  return text;
}

inline std::string error_type(const boost::json::object& record) {
  const auto* error = agent::object_in(record, "command_error");
  return error != nullptr ? agent::string_in(*error, "type") : std::string();
}

inline std::string error_details(const boost::json::object& record) {
  const auto* error = agent::object_in(record, "command_error");
  return error != nullptr ? agent::string_in(*error, "details") : std::string();
}

}  // namespace ingot::test
