#include "agent/controller/live_catalog.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "agent/kubernetes/kubernetes_catalog.hpp"
#include "agent/kubernetes/kubernetes_watch.hpp"
#include "agent/osimage/directory_catalog.hpp"
#include "agent/process/waiting.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

class Directory final : public LiveCatalog {
 public:
  explicit Directory(std::string path) : path_(std::move(path)), watch_(watch_directory(path_)) {}
  Result<std::unique_ptr<Catalog>> open(const OnWarning& on_warning) override {
    return open_directory_catalog(path_, on_warning);
  }
  bool changed() override { return watch_->changed(); }
  bool being_written() override { return watch_->being_written(); }
  [[nodiscard]] std::string problem() const override { return {}; }

 private:
  const std::string path_;
  const std::unique_ptr<DirectoryWatch> watch_;
};

// The images that were known at one moment, and an API server's keys.
class KnownImages final : public Catalog {
 public:
  KnownImages(std::vector<OsImage> images, std::unique_ptr<Catalog> server)
      : images_(std::move(images)), server_(std::move(server)) {}

  Result<std::optional<OsImage>> find_image(const std::string& name) override {
    const auto found = std::ranges::find(images_, name, &OsImage::name);
    if (found == images_.end()) return std::nullopt;
    return *found;
  }
  Result<std::optional<SshKey>> find_ssh_key(const std::string& name) override {
    return server_->find_ssh_key(name);
  }
  Result<std::vector<OsImage>> list_images() override { return images_; }
  Result<std::vector<SshKey>> list_ssh_keys() override { return server_->list_ssh_keys(); }
  [[nodiscard]] std::string describe() const override { return server_->describe(); }

 private:
  const std::vector<OsImage> images_;
  const std::unique_ptr<Catalog> server_;
};

class Server final : public LiveCatalog {
 public:
  Server(KubernetesOptions options, std::unique_ptr<KubernetesWatch> watch, std::stop_token stop)
      : options_(std::move(options)), watch_(std::move(watch)), stop_(std::move(stop)) {}
  Result<std::unique_ptr<Catalog>> open(const OnWarning& on_warning) override {
    INGOT_TRY_ASSIGN(auto server, open_kubernetes_catalog(options_, on_warning, stop_));
    return std::make_unique<KnownImages>(watch_->images(), std::move(server));
  }
  bool changed() override { return watch_->changed(); }
  bool being_written() override { return false; }
  [[nodiscard]] std::string problem() const override {
    const auto problem = watch_->problem();
    return problem ? "the catalog may be old: " + problem->message() : std::string();
  }

 private:
  const KubernetesOptions options_;
  const std::unique_ptr<KubernetesWatch> watch_;
  const std::stop_token stop_;
};

// Waits for the first list; a server that says no is not asked again.
Result<void> wait_for_list(const KubernetesWatch& watch, const std::stop_token& stop) {
  constexpr std::chrono::milliseconds kLook{50};
  constexpr int kLooks = 600;
  for (int i = 0; i < kLooks && !watch.listed(); ++i) {
    const auto problem = watch.problem();
    if (problem && problem->code() != Errc::controller_unreachable) return tl::unexpected(*problem);
    if (!pause(stop, kLook)) return fail(Errc::cancelled, "stopped while the catalog was listed");
  }
  if (watch.listed()) return {};
  return tl::unexpected(watch.problem().value_or(Error(
      Errc::controller_unreachable, "the API server did not list its OSImages within 30 seconds",
      "check the server and the network; docs/kubernetes.md")));
}

}  // namespace

Result<std::shared_ptr<LiveCatalog>> open_live_catalog(const std::string& option,
                                                       KubernetesOptions api,
                                                       const std::stop_token& stop) {
  const bool api_named = !api.kubeconfig.empty() || !api.context.empty();
  INGOT_TRY_ASSIGN(const bool is_api, read_catalog_option(option, api));
  if (!is_api && api_named)
    return fail(Errc::usage_option,
                "--kubeconfig and --context are for an API server, and --catalog is a directory",
                "say --catalog kubeconfig: or a URL; docs/kubernetes.md");
  if (!is_api) return std::make_shared<Directory>(option);
  INGOT_TRY_ASSIGN(auto watch, KubernetesWatch::start(
                                   api, [](const std::string& text) { say("warning: " + text); }));
  INGOT_TRY(wait_for_list(*watch, stop));
  return std::make_shared<Server>(std::move(api), std::move(watch), stop);
}

}  // namespace ingot::agent
