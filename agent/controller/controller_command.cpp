#include "agent/controller/controller_command.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <utility>

#include "agent/process/exit_code.hpp"
#include "agent/process/secrets.hpp"
#include "agent/process/signal_watch.hpp"
#include "agent/reference/write_reference.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/text.hpp"
#include "agent/text/write_all.hpp"

namespace ingot::agent {
namespace {

constexpr const char* kAbout =
    "ingot-controller tells machines what they are to become, keeps what they report, and shows\n"
    "it on a page. It is for labs, test rigs and small sites; fleets use Metal3 or Ironic.";

constexpr const char* kFooter = R"(
What it needs:
  a directory of OSImages (and SSHKeys), and one of Machines with what they refer to: NodeProvider,
  NodeType, NodeEnvironment, SSHKey, BareMetalHost. A machine is known by its own properties:
    apiVersion: management.loft.sh/v1
    kind: Machine
    metadata: {name: node-1}
    spec:
      properties:
        vcluster.com/os-image: ubuntu-noble
        ingot.io/mac-addresses: 52:54:00:12:34:56
        ingot.io/device: /dev/sda
  Both are watched: what is written there counts at once, and what is wrong is said and not taken.

Examples:
  On this machine alone:
    ingot-controller --catalog images --machines machines --listen 127.0.0.1:8080
    ingot provision --from http://127.0.0.1:8080/v1/provision
  For a network:
    ingot-controller --catalog images --machines machines --listen 192.0.2.1:8443 \
      --tls-cert cert.pem --tls-key key.pem \
      --machine-tokens tokens --page-token-file page-token
    and on the kernel command line of the RAM disk:
    ingot.from=https://192.0.2.1:8443/v1/provision ingot.token=…

Then:
  a machine is installed when it asks, and not again until its manifests change, somebody orders it
  (the page, or POST /v1/machines/NAME/reinstall), or it has ingot.io/reinstall: always.

docs/controller.md says more, docs/controller-openapi.yaml describes every request.

Exit codes:
  0 ended by a signal   1 a bug   2 usage: a bad option, manifest, token or state file
  8 the catalog's API server could not be reached, or said no)";

// What the manual alone says, in the footer's form.
constexpr const char* kManual = R"(
Environment:
  STATE_DIRECTORY  where the state file is, if `--state` does not say; systemd sets it
  KUBECONFIG  the kubeconfig files of `--catalog kubeconfig:`, unless `--kubeconfig` names one

Files:
  /etc/default/ingot-controller  the options of the systemd unit
  /var/lib/ingot-controller/controller.db  the state file of the systemd unit
  /usr/share/doc/ingot/docs/  where Debian's packages have the documents that this page names

See also:
  ingot(1)
  ingot-provision(1)
)";

tl::unexpected<Error> wrong(std::string message) {
  return fail(Errc::usage_option, std::move(message),
              "`ingot-controller --help` shows what there is");
}

// "192.0.2.1:8080", "[::1]:8080".
Result<void> understand_listen(const std::string& text, ControllerOptions& options) {
  const auto colon = text.rfind(':');
  std::string address = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  else if (address.find(':') != std::string::npos)
    address.clear();  // it could be told either way
  in6_addr six{};
  in_addr four{};
  const char* const begin = text.data() + (colon == std::string::npos ? text.size() : colon + 1);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, options.listen_port);
  if ((::inet_pton(AF_INET, address.c_str(), &four) != 1 &&
       ::inet_pton(AF_INET6, address.c_str(), &six) != 1) ||
      error != std::errc() || stop != end)
    return wrong(
        fmt::format("--listen: '{}' is not ADDR:PORT, an IP address and a port "
                    "(192.0.2.1:8080, [::1]:8080, [::]:8080 for all)",
                    printable(text)));
  options.listen_address = std::move(address);
  return {};
}

// The grammar, which types into its own members.
struct Grammar {
  Grammar() : app(kAbout, "ingot-controller") {
    app.set_version_flag("--version", std::string("ingot-controller " INGOT_VERSION));
    app.footer(kFooter);
    app.get_formatter()->column_width(32);
    const auto add = [this](const char* option, std::string& into, const char* type,
                            const char* group, const char* help) {
      app.add_option(option, into, help)->type_name(type)->group(group);
    };
    add("--catalog", options.catalog, "DIR|URL", "Manifests",
        "directory of OSImages and SSHKeys; or a Kubernetes API\n"
        "server: kubeconfig:[CONTEXT], in-cluster, a URL (required)");
    add("--kubeconfig", options.kubernetes.kubeconfig, "FILE", "Manifests",
        "for an API server (default: those of $KUBECONFIG, else\n~/.kube/config)");
    add("--context", options.kubernetes.context, "NAME", "Manifests", "of the kubeconfig");
    add("--machines", options.machines, "DIR", "Manifests",
        "directory of Machines and what they refer to\n(required; may be the same)");
    add("--state", options.state, "FILE", "State",
        "SQLite file of what machines reported, made where\n"
        "there is none (default: controller.db in\n"
        "$STATE_DIRECTORY, or in this directory)");
    add("--listen", listen, "ADDR:PORT", "Server", "where to serve (required)");
    add("--tls-cert", options.tls_certificate_file, "FILE", "Server",
        "certificate and those that vouch for it, PEM");
    add("--tls-key", options.tls_key_file, "FILE", "Server", "its private key, PEM");
    add("--machine-tokens", options.machine_tokens_file, "FILE", "Access",
        "lines NAME TOKEN: what each machine has to send\n"
        "to be told anything and to report; mode 600");
    add("--page-token-file", options.page_token_file, "FILE", "Access",
        "file whose first line is the token for the page,\n"
        "for reading and for ordering installations; mode 600");
  }

  ControllerOptions options;
  std::string listen;
  CLI::App app;
};

int complain(const Error& error) {
  say(error);
  return exit_code(error.cls());
}

int run_until_signal(const ControllerOptions& options) {
  std::stop_source stop;
  // First of all, so that every thread below inherits the blocked signals.
  const SignalWatch signals([&stop](int signal, int) {
    say(fmt::format("stopping: {}", signal_name(signal)));
    stop.request_stop();
  });
  const auto ran = run_controller(options, stop.get_token());
  return ran ? kExitDone : complain(ran.error());
}

}  // namespace

Result<std::variant<ControllerOptions, std::string>> parse_controller_command(
    const std::vector<std::string>& words) {
  Grammar grammar;
  CLI::App& app = grammar.app;
  ControllerOptions& options = grammar.options;
  const std::string& listen = grammar.listen;
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants it
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return app.help();
  } catch (const CLI::CallForVersion& version) {
    return std::string(version.what()) + '\n';
  } catch (const CLI::ParseError& error) {
    return wrong(redact_text(error.what()));
  }
  // An option that was given with nothing in it ("--state $UNSET") is a mistake, not a default.
  for (const CLI::Option* option : app.get_options())
    for (const std::string& value : option->results())
      if (value.empty()) return wrong(option->get_name() + ": empty");
  if (options.catalog.empty()) return wrong("no catalog: give --catalog DIR, or an API server");
  if (options.machines.empty()) return wrong("no machines: give --machines DIR");
  if (listen.empty()) return wrong("no address: give --listen ADDR:PORT");
  INGOT_TRY(understand_listen(listen, options));
  if (options.tls_certificate_file.empty() != options.tls_key_file.empty())
    return wrong("--tls-cert and --tls-key belong together");
  return std::move(options);
}

ProgramReference controller_reference() {
  Grammar grammar;
  ProgramReference reference = read_reference(grammar.app);
  reference.section = 8;
  reference.version = INGOT_VERSION;
  reference.more = kManual;
  return reference;
}

int run_controller_command(int argc, char** argv) {
  constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    scrub_arguments(argc, argv);
    if (words.size() == 2 && words.front() == "--generate-reference") {  // by the build
      const auto written = write_reference(controller_reference(), words.back());
      return written ? kExitDone : complain(written.error());
    }
    const auto command = parse_controller_command(words);
    if (!command) return complain(command.error());
    if (const auto* options = std::get_if<ControllerOptions>(&*command))
      return run_until_signal(*options);
    write_all(STDOUT_FILENO, std::get<std::string>(*command), kReaderPatience);
    return kExitDone;
  } catch (const std::exception& error) {
    return complain(Error(Errc::internal_bug, std::string("unexpected: ") + error.what(),
                          "report this with what you did"));
  }
}

}  // namespace ingot::agent
