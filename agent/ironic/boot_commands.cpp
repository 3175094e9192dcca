#include "agent/ironic/boot_commands.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <stop_token>
#include <string>

#include "agent/ironic/image_order.hpp"
#include "agent/job/boot_entries.hpp"
#include "agent/job/device_report.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

// An agent that was restarted since has to choose again; the hints have not changed.
Result<std::string> written_disk(const AgentOptions& options, const NodeState& node) {
  if (const auto written = node.written(); written && !written->device.empty())
    return written->device;
  const auto record = parse_json_object(node.node()).value_or(json::object());
  const std::string hints = root_device_hints_of(record);
  INGOT_TRY_ASSIGN(const auto skipped, skipped_disks_of(record));
  const auto report = look_at_devices(options.only_disks, hints.empty() ? "{}" : hints, skipped);
  if (!report) return tl::unexpected(report.error());
  if (report->choice->no_match) return tl::unexpected(*report->choice->no_match);
  return report->choice->chosen;
}

CommandOutcome install(const AgentOptions& options, const NodeState& node,
                       const json::object& params, const std::stop_token& stop) {
  if (options.power == PowerMode::exit) {
    say("install_bootloader: the firmware is left alone, as --power exit says");
    return "null";
  }
  const bool may_fail = options.ignore_boot_loader_failure ||
                        bool_in(params, "ignore_bootloader_failure").value_or(false);
  const auto install = [&]() -> Result<std::string> {
    INGOT_TRY_ASSIGN(const std::string device, written_disk(options, node));
    BootEntriesRequest request;
    request.efi_system_part_uuid = string_in(params, "efi_system_part_uuid");
    INGOT_TRY_ASSIGN(const auto result, install_boot_entries(device, request, stop));
    return describe(result);
  };
  const auto done = install();
  if (done) {
    say("install_bootloader: " + *done);
    return "null";
  }
  if (!may_fail) return tl::unexpected(agent_error(done.error()));
  say(fmt::format("warning: install_bootloader: {}; ignored, as was asked",
                  done.error().message()));
  return "null";
}

}  // namespace

void add_boot_commands(CommandTable& table, const AgentOptions& options, const NodeState& node) {
  table.add("image.install_bootloader",
            {.kind = Command::Kind::asynchronous,
             .run = [&options, &node](const json::object& params, const std::stop_token& stop) {
               return install(options, node, params, stop);
             }});
}

}  // namespace ingot::agent
