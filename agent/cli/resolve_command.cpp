// `ingot resolve`.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "agent/cli/catalog_option.hpp"
#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/resolution/bare_metal_host.hpp"
#include "agent/resolution/explanation.hpp"
#include "agent/resolution/instance_info.hpp"
#include "agent/resolution/resolve.hpp"
#include "agent/text/text.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

using For = ResolveOptions::For;

class ResolveGrammar final : public CommandGrammar {
 public:
  explicit ResolveGrammar(CLI::App& app) : CommandGrammar(app) {
    const OptionGroup what(app, "What");
    what.value("--catalog", options_.catalog, "DIR|URL",
               "where OSImages and SSHKeys are (required): a directory\nof manifests; or a "
               "Kubernetes API server:\nkubeconfig:[CONTEXT], in-cluster, or its URL");
    what.value("--node-provider", options_.node_provider, "FILE", "the NodeProvider's manifest");
    what.value("--node-type", options_.node_type, "NAME|FILE",
               "the NodeType's manifest, or the name of one of the\nNodeProvider's node types "
               "(default: the Machine's\nspec.typeRef)");
    what.value("--node-environment", options_.node_environment, "FILE",
               "the NodeEnvironment's manifest");
    what.value("--machine", options_.machine, "FILE", "the Machine's, or NodeClaim's");
    what.value("--bare-metal-host", options_.bare_metal_host, "FILE",
               "the BareMetalHost's: its root device hints and name");
    what.value("--osimage", options_.os_image, "NAME",
               "resolve this OSImage alone, without a machine");
    const OptionGroup who(app, "For whom");
    who.value("--user", options_.user, "NAME",
              "check that this user may use what is named (default:\nno check)");
    who.each("--team", options_.teams, "NAME", "and is in this team; may be given again");
    who.value("--provider", options_.provider, "NAME", "metal3 (default): whose properties count");
    add_api_server_options(app, options_.api);
    const OptionGroup output(app, "Output");
    output.choice("--for", target_, "WHAT", {"deploy-request", "metal3", "ironic"},
                  "deploy-request (default), metal3 (a BareMetalHost patch\nand Secrets) or ironic "
                  "(instance_info and config drive)");
    output.choice("-o,--output", output_, "FORM", {"yaml", "json"}, "yaml (default) or json");
    output.flag("--explain", options_.explain,
                "add where each property came from, and what it overrode");
  }

  Result<Command> understand() override {
    const std::string& command = app().get_name();
    if (options_.catalog.empty()) return wrong("no catalog: give --catalog", command);
    const bool chain = given("--node-provider") || given("--node-type") ||
                       given("--node-environment") || given("--machine") ||
                       given("--bare-metal-host");
    if (!chain && options_.os_image.empty())
      return wrong("nothing to resolve: give --machine or another manifest, or --osimage", command);
    if (chain && !options_.os_image.empty())
      return wrong("--osimage resolves an image alone: give it or manifests", command);
    options_.json = output_ == "json";
    if (target_ == "metal3")
      options_.target = For::metal3;
    else if (target_ == "ironic")
      options_.target = For::ironic;
    if (options_.provider.empty()) options_.provider = kMetal3;
    return options_;
  }

 private:
  ResolveOptions options_;
  std::string target_ = "deploy-request", output_ = "yaml";
};

// The objects of these kinds in a file; there is at least one.
Result<std::vector<Manifest>> load(const std::string& path, std::string_view option,
                                   std::initializer_list<std::string_view> kinds) {
  std::vector<Manifest> wanted;
  if (path.empty()) return wanted;
  auto all = load_manifests(path);
  if (!all) return tl::unexpected(all.error().with_context(std::string(option)));
  std::ranges::copy_if(std::make_move_iterator(all->begin()), std::make_move_iterator(all->end()),
                       std::back_inserter(wanted), [&](const Manifest& manifest) {
                         return std::ranges::find(kinds, manifest.kind) != kinds.end();
                       });
  if (wanted.empty())
    return fail(Errc::usage_manifest,
                fmt::format("{} {}: there is no {} in it", option, path, *kinds.begin()),
                "examples/platform/ shows one of each kind");
  return wanted;
}

// A directory that happens to have a node type's name is none.
bool is_file(const std::string& text) {
  struct stat status {};
  return text == "-" || text.find('/') != std::string::npos || text.ends_with(".yaml") ||
         text.ends_with(".yml") || text.ends_with(".json") ||
         (::stat(text.c_str(), &status) == 0 && !S_ISDIR(status.st_mode));
}

Result<ResolutionInput> input_of(const ResolveOptions& options) {
  ResolutionInput input;
  input.os_image = options.os_image;
  input.provider = options.provider;
  if (!options.user.empty() || !options.teams.empty())
    input.caller = Caller{options.user, options.teams};
  ChainManifests& manifests = input.manifests;
  INGOT_TRY_ASSIGN(manifests.node_providers,
                   load(options.node_provider, "--node-provider", {"NodeProvider"}));
  if (is_file(options.node_type)) {
    INGOT_TRY_ASSIGN(manifests.node_types, load(options.node_type, "--node-type", {"NodeType"}));
  } else {
    manifests.node_type = options.node_type;
  }
  INGOT_TRY_ASSIGN(manifests.node_environments,
                   load(options.node_environment, "--node-environment", {"NodeEnvironment"}));
  INGOT_TRY_ASSIGN(manifests.machines,
                   load(options.machine, "--machine", {"Machine", "NodeClaim"}));
  INGOT_TRY_ASSIGN(manifests.bare_metal_hosts,
                   load(options.bare_metal_host, "--bare-metal-host", {"BareMetalHost"}));
  return input;
}

// The documents that were asked for, of a resolution with a request.
Result<std::vector<YamlNode>> documents_of(const ResolveOptions& options,
                                           const Resolution& resolution) {
  std::vector<YamlNode> documents;
  const DeployRequest& request = *resolution.request;
  switch (options.target) {
    case For::deploy_request:
      documents.push_back(to_document(request));
      break;
    case For::metal3: {
      const bool host = resolution.host.has_value();
      return bare_metal_host_patch(request, host ? resolution.host->name : "",
                                   host ? resolution.host->name_space : "");
    }
    case For::ironic: {
      INGOT_TRY_ASSIGN(YamlNode info, instance_info(request));
      documents.push_back(std::move(info));
      break;
    }
  }
  return documents;
}

// One JSON document, or YAML documents. The explanation is a member of the one, the last of the
// others.
std::string text_of(std::vector<YamlNode> documents, std::optional<YamlNode> explanation,
                    bool json) {
  if (json) {
    YamlNode one = make_map();
    if (documents.size() == 1) {
      one = std::move(documents.front());
    } else if (documents.size() > 1) {
      put_text(one, "apiVersion", "v1");
      put_text(one, "kind", "List");
      put(one, "items", make_sequence()).items = std::move(documents);
    }
    if (explanation) put(one, "explanation", *std::move(explanation));
    return write_json(one, JsonForm::lines);
  }
  if (explanation) {
    YamlNode document = make_map();
    put_text(document, "apiVersion", kDeployRequestVersion);
    put_text(document, "kind", "Explanation");
    for (auto& [name, value] : explanation->members) put(document, name, std::move(value));
    documents.push_back(std::move(document));
  }
  std::string text;
  for (const YamlNode& document : documents)
    text += (text.empty() ? "" : "---\n") + write_yaml(document);
  return text;
}

}  // namespace

std::unique_ptr<CommandGrammar> resolve_grammar(CLI::App& ingot) {
  return std::make_unique<ResolveGrammar>(add_command(
      ingot, "resolve", "say what a machine would become", kResolveAbout, kResolveFooter));
}

int run_command(const ResolveOptions& options) {
  const auto warn = [](const std::string& warning) { say("warning: " + warning); };
  const auto input = input_of(options);
  if (!input) return complain(input.error());
  const auto catalog = open_catalog(options.catalog, options.api, warn);
  if (!catalog) return complain(catalog.error());
  const auto resolution = resolve(*input, **catalog);
  if (!resolution) return complain(resolution.error());
  for (const auto& warning : resolution->warnings) warn(warning);

  std::optional<YamlNode> explanation;
  if (options.explain) explanation = explain(*resolution);
  if (!resolution->request) {
    if (explanation) print(text_of({}, std::move(explanation), options.json));
    return complain(Error(Errc::usage_option,
                          fmt::format("--provider: ingot makes requests for {}, and none for '{}'",
                                      kMetal3, options.provider),
                          options.explain ? "" : "--explain shows the merged properties"));
  }
  auto documents = documents_of(options, *resolution);
  if (!documents) return complain(documents.error());
  return print(text_of(*std::move(documents), std::move(explanation), options.json));
}

}  // namespace ingot::agent
