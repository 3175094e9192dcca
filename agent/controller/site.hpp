/// Site: all that the manifests say, at one moment; and the watch that notices changes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/controller/live_catalog.hpp"
#include "agent/controller/machines.hpp"
#include "agent/osimage/os_image.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

struct SiteOptions {
  std::shared_ptr<LiveCatalog> catalog;
  std::string machines;  ///< directory
  std::chrono::milliseconds look_every{500};
  std::chrono::milliseconds longest_write{30'000};  ///< that one program is waited for
  std::chrono::milliseconds retry_every{5'000};     ///< what was not taken
};

/// What a machine is to become, or why that cannot be told.
struct Plan {
  Result<DeployRequest> request;
  std::string tag;  ///< of the request: another one where anything in it differs; "" without one
};

struct Site {
  MachineManifests manifests;
  std::map<std::string, Plan> plans;  ///< of every machine
  std::vector<OsImage> images;        ///< by name
  std::vector<std::string> warnings;  ///< each once

  [[nodiscard]] const Machine* find(const std::string& name) const;
};

/// Reads catalog and machines, and resolves every machine. A machine that cannot be resolved is no
/// error: its plan says why. Errors: usage.manifest, the catalog's.
Result<std::shared_ptr<const Site>> load_site(const SiteOptions& options);

/// The site as it is now. When the manifests change they are read again; while they are wrong the
/// last good state stays. Any thread.
class LiveSite {
 public:
  /// Told of each new state, on a thread of the site, before others see it. An error: the state is
  /// not taken.
  using OnChange = std::function<Result<void>(const Site&)>;

  /// Reads the manifests. Errors: usage.manifest, and on_change's.
  static Result<std::unique_ptr<LiveSite>> open(SiteOptions options, OnChange on_change);
  ~LiveSite();
  LiveSite(const LiveSite&) = delete;
  LiveSite& operator=(const LiveSite&) = delete;

  struct View {
    std::shared_ptr<const Site> site;
    std::string problem;        ///< why the state is not what manifests say now, or may be old; ""
    std::uint64_t version = 0;  ///< rises with every change of the other two
  };
  [[nodiscard]] View view() const;

 private:
  class Watch;
  LiveSite(SiteOptions options, OnChange on_change);
  Result<void> reload();
  void run(const std::stop_token& stop);

  const SiteOptions options_;
  const OnChange on_change_;
  std::unique_ptr<Watch> watch_;
  mutable std::mutex mutex_;
  View view_;
  std::jthread thread_;
};

}  // namespace ingot::agent
