#include "agent/ironic/node_commands.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <system_error>

#include "agent/ironic/steps.hpp"
#include "agent/text/base64.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"
#include "agent/text/write_all.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// A file for root alone, whatever was there.
Result<void> write_secret(const fs::path& path, const std::string& content) {
  constexpr std::chrono::seconds kPatience{10};
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || ::fchmod(file.get(), 0600) != 0)
    return tl::unexpected(system_error(Errc::usage_option, "writing " + path.string(), errno));
  if (const int failed = write_all(file.get(), content, kPatience); failed != 0)
    return tl::unexpected(system_error(Errc::usage_option, "writing " + path.string(), failed));
  return {};
}

std::optional<AgentError> check_rescue(const json::object& params) {
  const std::string password = string_in(params, "rescue_password");
  // It becomes a line of /etc/shadow.
  if (password.empty() || password.find_first_of(":\n\r") != std::string::npos)
    return invalid_parameters("rescue_password is missing or malformed");
  if (!bool_in(params, "hashed").value_or(false))
    return invalid_parameters("a rescue password is only taken hashed");
  return std::nullopt;
}

CommandOutcome finalize_rescue(const json::object& params, const AgentOptions& options,
                               AgentControl& control) {
  const fs::path root =
      options.power == PowerMode::exit ? fs::path(options.run_dir) : fs::path("/");
  const auto done = [&]() -> Result<void> {
    INGOT_TRY(write_secret(root / "etc/ipa-rescue-config/ipa-rescue-password",
                           string_in(params, "rescue_password")));
    return write_secret(root / "etc/.rescued", "");
  }();
  if (!done) return tl::unexpected(agent_error(done.error()));
  control.end(AgentEnd::rescued);
  return "null";
}

CommandOutcome collect_logs(const AgentOptions& options, const NodeState& node,
                            const std::stop_token& stop) {
  auto logs = inspection_options(options, node).logs;
  logs.journal_lines = 0;
  const auto archive = collect_system_logs(logs, stop);
  if (!archive) return tl::unexpected(agent_error(archive.error()));
  return json::serialize(json::object{{"system_logs", to_base64(*archive)}});
}

CommandOutcome hardware_info(const AgentOptions& options, const NodeState& node,
                             const std::stop_token& stop) {
  const auto found = collect_node_inventory(inspection_options(options, node).inventory, stop);
  if (!found) return tl::unexpected(agent_error(found.error()));
  return inventory_json(*found, {});
}

CommandOutcome set_node_info(const json::object& params, NodeState& node) {
  const json::object* info = object_in(params, "node_info");
  auto answer = info != nullptr ? read_lookup_answer(json::serialize(*info))
                                : Result<LookupAnswer>(fail(Errc::usage_option, "no node_info"));
  if (!answer) return tl::unexpected(invalid_parameters(answer.error().message()));
  answer->token.clear();  // whoever sends it has shown the one that counts
  node.adopt(*answer);
  return "null";
}

}  // namespace

InspectionOptions inspection_options(const AgentOptions& options, const NodeState& node) {
  constexpr std::size_t kJournalLines = 10'000;
  InspectionOptions inspection;
  inspection.inventory.devices = options.only_disks;
  if (!options.boot_interface.empty()) inspection.inventory.boot_interface = options.boot_interface;
  inspection.manager = kManagerName;  // as the steps' version has it
  inspection.manager_version = kManagerVersion;
  inspection.collect_lldp = options.collect_lldp;
  inspection.lldp_timeout = options.lldp_timeout;
  inspection.logs.own_log = said_lately();
  inspection.logs.journal_lines = kJournalLines;
  for (const auto& secret : {node.token(), options.agent_token})
    if (!secret.empty()) inspection.logs.secrets.push_back(secret);
  return inspection;
}

void add_node_commands(CommandTable& table, const AgentOptions& options, NodeState& node,
                       AgentControl& control) {
  table.add("log.collect_system_logs",
            {.run = [&options, &node](
                        const json::object&,
                        const std::stop_token& stop) { return collect_logs(options, node, stop); },
             // Megabytes that are asked for once.
             .keep = [](const std::string&) { return R"({"system_logs":"***"})"; }});
  table.add("poll.get_hardware_info",
            {.run = [&options, &node](const json::object&, const std::stop_token& stop) {
              return hardware_info(options, node, stop);
            }});
  table.add("poll.set_node_info",
            {.run = [&node](const json::object& params, const std::stop_token&) {
              return set_node_info(params, node);
            }});
  table.add("rescue.finalize_rescue",
            {.run =
                 [&options, &control](const json::object& params, const std::stop_token&) {
                   return finalize_rescue(params, options, control);
                 },
             .check = check_rescue});
}

}  // namespace ingot::agent
