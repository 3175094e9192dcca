#include "agent/ironic/standby_commands.hpp"

#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <stop_token>

#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

// Long enough for the conductor to have its answer before nobody is there to give it.
constexpr std::chrono::seconds kLastAnswer{1};

Command power_command(Power& power, Result<void> (Power::*action)()) {
  return {
      .kind = Command::Kind::asynchronous,
      .run = [&power, action](const boost::json::object&,
                              const std::stop_token& stop) -> CommandOutcome {
        ::sync();
        if (!pause(stop, kLastAnswer))
          return tl::unexpected(failure("SystemRebootError", "the agent was stopped before"));
        const auto done = (power.*action)();
        if (!done)
          return tl::unexpected(failure("SystemRebootError", agent_error(done.error()).details));
        return "null";
      }};
}

}  // namespace

void add_standby_commands(CommandTable& table, Power& power, AgentControl& control) {
  table.add("standby.sync",
            {.run = [](const boost::json::object&, const std::stop_token&) -> CommandOutcome {
              ::sync();
              return "null";
            }});
  table.add("standby.power_off", power_command(power, &Power::off));
  table.add("standby.run_image", power_command(power, &Power::reboot));
  table.add("system.lockdown", {.run = [&control](const boost::json::object&,
                                                  const std::stop_token&) -> CommandOutcome {
              say("locked down: the network goes, and this machine waits to be switched off");
              control.end(AgentEnd::locked_down);
              return "null";
            }});
}

}  // namespace ingot::agent
