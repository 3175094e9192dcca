#include "agent/ironic/steps.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "agent/ironic/masking.hpp"
#include "agent/text/json_object.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::string_view kManager = "IngotHardwareManager";

// One of the three kinds of operation.
struct Operation {
  const char* name;   // "clean"
  const char* error;  // the class of its failures
  std::optional<int> Step::*priority;
};
constexpr Operation kOperations[] = {{"clean", "CleaningError", &Step::clean},
                                     {"deploy", "DeploymentError", &Step::deploy},
                                     {"service", "ServicingError", &Step::service}};

json::object version() {
  return {{kManagerName, kManagerVersion}};
}

void keep_node(const json::object& params, NodeState& state) {
  if (const json::object* node = object_in(params, "node"))
    state.set_node(json::serialize(masked(*node)));
}

CommandOutcome list(const Operation& operation, const std::vector<Step>& steps,
                    const json::object& params, NodeState& state) {
  keep_node(params, state);
  json::array offered;
  for (const Step& step : steps) {
    const auto& priority = step.*operation.priority;
    if (!priority) continue;
    json::object entry{{"step", step.name},
                       {"priority", *priority},
                       {"interface", "deploy"},
                       {"reboot_requested", false}};
    if (operation.priority != &Step::deploy) entry["abortable"] = step.abortable;
    if (step.arguments != "null") entry["argsinfo"] = json::parse(step.arguments);
    offered.push_back(std::move(entry));
  }
  return json::serialize(json::object{
      {fmt::format("{}_steps", operation.name), json::object{{kManager, std::move(offered)}}},
      {"hardware_manager_version", version()}});
}

// The step's own arguments, and those that stand beside it.
json::object arguments(const Operation& operation, const json::object& params,
                       const json::object& step) {
  json::object args;
  for (const auto& [name, value] : params)
    if (name != "step" && name != "node" && name != "ports" &&
        name != fmt::format("{}_version", operation.name))
      args[name] = value;
  if (const json::object* own = object_in(step, "args"))
    for (const auto& [name, value] : *own) args[name] = value;
  return args;
}

CommandOutcome execute(const Operation& operation, const std::vector<Step>& steps,
                       const json::object& params, const std::stop_token& stop, NodeState& state) {
  keep_node(params, state);
  const json::value* planned = params.if_contains(fmt::format("{}_version", operation.name));
  if (planned != nullptr && !planned->is_null() && *planned != version())
    return tl::unexpected(version_mismatch(
        fmt::format("the {} steps were planned with {}, and this agent is {}", operation.name,
                    json::serialize(*planned), json::serialize(version()))));
  const json::object* step = object_in(params, "step");
  const std::string name = step != nullptr ? string_in(*step, "step") : std::string();
  if (name.empty())
    return tl::unexpected(failure(operation.error, "the command names no step to be executed"));
  for (const Step& known : steps) {
    if (known.name != name || !(known.*operation.priority)) continue;
    static const json::object none;
    const json::object* node = object_in(params, "node");
    const json::object args = arguments(operation, params, *step);
    CommandOutcome outcome;
    try {
      outcome = known.run({args, node != nullptr ? *node : none, stop});
    } catch (const std::exception& error) {
      outcome = tl::unexpected(
          failure(operation.error, fmt::format("step {}: unexpected: {}", name, error.what())));
    }
    if (!outcome) return outcome;
    return fmt::format(R"({{"{0}_result":{1},"{0}_step":{2}}})", operation.name, *outcome,
                       json::serialize(masked(*step)));
  }
  return tl::unexpected(method_not_found(fmt::format(
      "Could not find method: {}. This agent has no {} step of that name", name, operation.name)));
}

}  // namespace

void add_step_commands(CommandTable& table, std::vector<Step> steps, NodeState& node) {
  const auto all = std::make_shared<const std::vector<Step>>(std::move(steps));
  for (const Operation& operation : kOperations) {
    const std::string name = operation.name;
    table.add(fmt::format("{0}.get_{0}_steps", name),
              {.run = [&operation, all, &node](const json::object& params, const std::stop_token&) {
                return list(operation, *all, params, node);
              }});
    table.add(
        fmt::format("{0}.execute_{0}_step", name),
        {.kind = Command::Kind::asynchronous,
         .run = [&operation, all, &node](const json::object& params, const std::stop_token& stop) {
           return execute(operation, *all, params, stop, node);
         }});
  }
}

}  // namespace ingot::agent
