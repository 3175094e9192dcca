// `ingot provision`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <utility>

#include "agent/cli/commands.hpp"
#include "agent/cli/confirmation.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/job/job.hpp"
#include "agent/machine/kernel_command_line.hpp"
#include "agent/process/exit_code.hpp"
#include "agent/process/service_manager.hpp"
#include "agent/process/signal_watch.hpp"
#include "agent/provision/boot_parameters.hpp"
#include "agent/provision/provision.hpp"
#include "agent/report/event.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

class ProvisionGrammar final : public CommandGrammar {
 public:
  explicit ProvisionGrammar(CLI::App& app) : CommandGrammar(app) {
    // --help shows the groups in this order.
    ProvisionOptions& given = options_.given;
    const OptionGroup request(app, "Request");
    request.value("--from", given.from, "URL",
                  "where this machine's request is (http, https, file;\n"
                  "ingot.from)");
    request.value("--token-file", given.token_file, "FILE",
                  "file whose first line is the bearer token for it");
    request.value("--cmdline", options_.cmdline, "FILE",
                  "kernel command line with ingot.…=… (default:\n/proc/cmdline)");
    request.value("--retry", retry_, "forever|never|TIME",
                  "how long failures that may pass are repeated\n"
                  "(default: 5m; in a RAM disk forever)");
    request.value("--recheck", recheck_, "TIME",
                  "with forever: how long to wait after one that stays\n(1m)");
    const OptionGroup target(app, "Target");
    target.value("--device", given.device, "DEV",
                 "the disk, or a regular file, whatever the request says");
    target.value("--root-device-hints", hints_, "JSON",
                 "hints that choose it, whatever the request says");
    target.each("--only-device", given.only_devices, "DEV",
                "the only disk there is for it; again: one more");
    target.flag("--yes", given.yes, "do not ask before a disk is overwritten");
    target.flag("--dry-run", given.dry_run, "do everything but write and act");
    target.flag("--insecure-no-checksum", given.no_checksum_accepted,
                "accept an image without a checksum");
    reporting_.emplace(app, ReportingGrammar::Url::or_elsewhere);
    const OptionGroup machine(app, "Machine");
    machine.choice(
        "--on-success", on_success_, "ACTION", {"reboot", "poweroff", "kexec", "none"},
        "reboot, poweroff, kexec or none, whatever the request\nsays (without any: none; "
        "in a RAM disk reboot)");
    machine.flag("--allow-power", given.allow_power,
                 "this system may be switched off, though it is no RAM\ndisk");
    machine_.emplace(app);
    machine.value("--sysfs", given.sysfs, "DIR", "where the machine's identity is read (/sys)");
    machine.value("--run-dir", given.run_dir, "DIR",
                  "where results wait until they are delivered\n(/run/ingot)");
    resources_.emplace(app);
    network_.emplace(app);
  }

  Result<Command> understand() override {
    ProvisionOptions& given = options_.given;
    if (!hints_.empty()) {
      INGOT_TRY_ASSIGN(given.root_device_hints, hints_as_json(hints_));
    }
    given.device_named_here = !given.device.empty();
    if (!retry_.empty()) {
      INGOT_TRY_ASSIGN(given.retry, parse_retry(retry_, "--retry"));
    }
    if (!recheck_.empty()) {
      INGOT_TRY_ASSIGN(given.recheck, parse_recheck(recheck_, "--recheck"));
    }
    if (!on_success_.empty()) given.on_success = parse_on_success(on_success_);
    INGOT_TRY_ASSIGN(auto machine, machine_->understand());
    given.macs = std::move(machine.macs);
    given.power = machine.power;
    INGOT_TRY_ASSIGN(auto reporting, reporting_->understand());
    options_.progress = reporting.progress;
    given.report_url = std::move(reporting.report_url);
    given.report_token_file = std::move(reporting.report_token_file);
    INGOT_TRY_ASSIGN(given.resources, resources_->understand());
    INGOT_TRY_ASSIGN(given.network, network_->understand());
    return options_;
  }

 private:
  ProvisionCommandOptions options_;
  std::string hints_, retry_, recheck_, on_success_;
  std::optional<MachineGrammar> machine_;
  std::optional<ReportingGrammar> reporting_;
  std::optional<ResourceGrammar> resources_;
  std::optional<NetworkGrammar> network_;
};

void take_unless_given(std::string& given, std::string& from_boot) {
  if (given.empty()) given = std::move(from_boot);
}

// What `boot` says where the options say nothing. What belongs together is taken together: a token
// is for the server that was named beside it, and goes to no other.
void complete(ProvisionOptions& given, ProvisionOptions boot) {
  const bool asks_another = !given.from.empty() && !boot.from.empty() && given.from != boot.from;
  const bool tells_another =
      !given.report_url.empty() && !boot.report_url.empty() && given.report_url != boot.report_url;
  if (given.from.empty()) {
    given.from = std::move(boot.from);
    given.order = std::move(boot.order);
    given.user_data_url = std::move(boot.user_data_url);
    given.config_drive_url = std::move(boot.config_drive_url);
  }
  if (given.device.empty() && given.root_device_hints.empty()) {
    given.device = std::move(boot.device);
    given.root_device_hints = std::move(boot.root_device_hints);
  }
  if (given.token_file.empty() && !asks_another) {
    given.token = std::move(boot.token);
    given.token_file = std::move(boot.token_file);
  }
  take_unless_given(given.report_url, boot.report_url);
  if (!tells_another) take_unless_given(given.report_token_file, boot.report_token_file);
  take_unless_given(given.network.ca_file, boot.network.ca_file);
  take_unless_given(given.network.proxy, boot.network.proxy);
  take_unless_given(given.network.no_proxy, boot.network.no_proxy);
  given.network.tls_insecure = given.network.tls_insecure || boot.network.tls_insecure;
  given.no_checksum_accepted = given.no_checksum_accepted || boot.no_checksum_accepted;
  given.allow_power = given.allow_power || boot.allow_power;
  if (!given.on_success) given.on_success = boot.on_success;
  if (!given.retry) given.retry = boot.retry;
  if (!given.recheck) given.recheck = boot.recheck;
}

Result<ProvisionOptions> provision_options(const ProvisionCommandOptions& command) {
  ProvisionOptions options = command.given;
  INGOT_TRY_ASSIGN(options.kernel_command_line, read_kernel_command_line(command.cmdline));
  ProvisionOptions boot;
  INGOT_TRY(apply_boot_parameters(boot, options.kernel_command_line));
  complete(options, std::move(boot));
  options.ram_disk = is_ram_disk();
  options.json = command.progress == ProgressMode::json;
  options.bar = command.progress == ProgressMode::bar ||
                (command.progress == ProgressMode::automatic && ::isatty(STDERR_FILENO) == 1);
  options.sentences = command.progress == ProgressMode::automatic;
  options.confirm = [](const std::string& device, const std::stop_token& stop) {
    return ask_for_confirmation(device, STDIN_FILENO, STDERR_FILENO, stop);
  };
  return options;
}

}  // namespace

std::unique_ptr<CommandGrammar> provision_grammar(CLI::App& ingot) {
  return std::make_unique<ProvisionGrammar>(
      add_command(ingot, "provision", "install this machine", kProvisionAbout, kProvisionFooter));
}

int run_command(const ProvisionCommandOptions& command) {
  ProvisionStop stop;
  ServiceManager manager;
  // First of all, so that every thread below inherits the blocked signals.
  const SignalWatch signals([&stop, &manager](int signal, int count) {
    manager.stopping(stop.writing() ? "Stopping: the disk is left so that it does not boot"
                                    : "Stopping");
    say(count > 1 && stop.writing() ? std::string("already stopping; waiting for the disk")
                                    : std::string("stopping: ") + signal_name(signal));
    stop.request(count > 1);
  });
  auto options = provision_options(command);
  if (!options) {
    if (command.progress == ProgressMode::json)
      print(to_json(result_event(failed_job(options.error(), {})), 0, random_uuid()) + '\n');
    return complain(options.error());
  }
  options->status = [&manager](const std::string& what) { manager.status(what); };
  const auto done = provision(*options, stop);
  return done ? kExitDone : exit_code(done.error().cls());
}

}  // namespace ingot::agent
