#include "agent/ironic/standby_commands.hpp"

#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

// Long enough for the conductor to have its answer before nobody is there to give it.
void let_the_answer_leave(const std::stop_token& stop) {
  constexpr std::chrono::seconds kPause{1};
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, kPause, [] { return false; });
}

Command power_command(Power& power, Result<void> (Power::*action)()) {
  return {
      .kind = Command::Kind::asynchronous,
      .run = [&power, action](const boost::json::object&,
                              const std::stop_token& stop) -> CommandOutcome {
        ::sync();
        let_the_answer_leave(stop);
        if (stop.stop_requested())
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
