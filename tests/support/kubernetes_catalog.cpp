// For test_kubernetes.py: what the catalog of a Kubernetes API server finds, lists and watches.
//
//   kubernetes_catalog list | keys | find NAME | key NAME | watch | choose
//       [--server URL] [--kubeconfig FILE] [--context NAME] [--token-file FILE] [--ca-cert FILE]
//       [--client-cert FILE] [--client-key FILE] [--tls-insecure] [--in-cluster]
//       [--service-account DIR]
//
// Prints JSON lines: {"image": NAME, "url", "checksum", "owner"}, {"key": NAME, "public_key"},
// {"nothing": NAME}, {"warning": TEXT}, {"error": {"code", "class", "message", "advice"}}. `watch`
// prints {"images": {NAME: URL}, "problem": CODE or null} whenever one of the two changed, until
// standard input ends. The exit code is 1 after an error.
#include "agent/kubernetes/kubernetes_catalog.hpp"

#include <poll.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "agent/kubernetes/kubernetes_watch.hpp"

namespace json = boost::json;
using namespace ingot;
using namespace ingot::agent;

namespace {

// Warnings of a watch come on its own thread.
void print(const json::object& line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::cout << line << std::endl;
}

json::object error_json(const Error& error) {
  return {{"error",
           {{"code", std::string(name(error.code()))},
            {"class", std::string(name(error.cls()))},
            {"message", error.message()},
            {"advice", error.advice()}}}};
}

int complain(const Error& error) {
  print(error_json(error));
  return 1;
}

void print_image(const OsImage& image) {
  print({{"image", image.name},
         {"url", image.url},
         {"checksum", image.checksum.value_or_url},
         {"owner", image.access.owner_user}});
}

bool input_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return ::poll(&input, 1, 50) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

int watch(const KubernetesOptions& options, const OnWarning& on_warning) {
  const auto watching = KubernetesWatch::start(
      options, on_warning, {std::chrono::milliseconds(100), std::chrono::milliseconds(400)});
  if (!watching) return complain(watching.error());
  std::optional<std::string> problem;
  while (!input_ended()) {
    const auto now = (*watching)->problem();
    std::optional<std::string> code;
    if (now) code = std::string(name(now->code()));
    if (!(*watching)->changed() && code == problem) continue;
    problem = code;
    json::object images;
    for (const auto& image : (*watching)->images()) images[image.name] = image.url;
    print(
        {{"images", images}, {"problem", code ? json::value(json::string(*code)) : json::value()}});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  KubernetesOptions options;
  const std::map<std::string, std::string*> values = {
      {"--server", &options.server},
      {"--kubeconfig", &options.kubeconfig},
      {"--context", &options.context},
      {"--token-file", &options.token_file},
      {"--ca-cert", &options.ca_file},
      {"--client-cert", &options.client_cert_file},
      {"--client-key", &options.client_key_file},
      {"--service-account", &options.service_account_dir}};
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (const auto value = values.find(word); value != values.end() && i + 1 < argc)
      *value->second = argv[++i];
    else if (word == "--tls-insecure")
      options.tls_insecure = true;
    else if (word == "--in-cluster")
      options.in_cluster = true;
    else
      words.push_back(word);
  }
  const OnWarning on_warning = [](const std::string& text) { print({{"warning", text}}); };
  const std::string what = words.empty() ? "" : words[0];
  const std::string wanted = words.size() > 1 ? words[1] : "";
  if (what == "watch") return watch(options, on_warning);
  if (what == "choose") {
    const auto chosen = choose_api_server(options);
    if (!chosen) return complain(chosen.error());
    print({{"server", chosen->url}, {"origin", chosen->origin}});
    return 0;
  }
  const auto catalog = open_kubernetes_catalog(options, on_warning);
  if (!catalog) return complain(catalog.error());
  if (what == "list") {
    const auto images = (*catalog)->list_images();
    if (!images) return complain(images.error());
    for (const auto& image : *images) print_image(image);
  } else if (what == "keys") {
    const auto keys = (*catalog)->list_ssh_keys();
    if (!keys) return complain(keys.error());
    for (const auto& key : *keys) print({{"key", key.name}, {"public_key", key.public_key}});
  } else if (what == "key") {
    const auto key = (*catalog)->find_ssh_key(wanted);
    if (!key) return complain(key.error());
    if (*key)
      print({{"key", (*key)->name}, {"public_key", (*key)->public_key}});
    else
      print({{"nothing", wanted}});
  } else if (what == "find") {
    const auto image = (*catalog)->find_image(wanted);
    if (!image) return complain(image.error());
    if (*image)
      print_image(**image);
    else
      print({{"nothing", wanted}});
  } else {
    std::cerr << "kubernetes_catalog: list, keys, find NAME, key NAME, watch or choose\n";
    return 2;
  }
  return 0;
}
