/// KubernetesWatch: the OSImages of an API server, kept current, for who runs for long.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "agent/kubernetes/api_client.hpp"
#include "agent/kubernetes/api_server.hpp"
#include "agent/osimage/os_image.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Lists, then watches; where the server has forgotten the place (410) or a connection failed, it
/// lists again, with a growing delay between failures. A thread of its own does that; the methods
/// may be called from any.
class KubernetesWatch {
 public:
  struct Delays {
    std::chrono::milliseconds first{1'000}, longest{60'000};
  };

  /// Does not wait for an answer. `on_warning` is told, on the watch's thread, of malformed
  /// objects, which are left out, and of failures (the same one once in a row).
  /// Errors: usage.option, as those of open_kubernetes_catalog().
  static Result<std::unique_ptr<KubernetesWatch>> start(const KubernetesOptions& options,
                                                        OnWarning on_warning);
  static Result<std::unique_ptr<KubernetesWatch>> start(const KubernetesOptions& options,
                                                        OnWarning on_warning, Delays delays);
  /// Ends within a second or so.
  ~KubernetesWatch() = default;
  KubernetesWatch(const KubernetesWatch&) = delete;
  KubernetesWatch& operator=(const KubernetesWatch&) = delete;

  /// By name. What was known last, while the server cannot be asked.
  [[nodiscard]] std::vector<OsImage> images() const;
  /// Whether images() changed since this was last asked. Does not wait.
  bool changed() noexcept { return changed_.exchange(false); }
  /// Whether there was a whole list yet.
  [[nodiscard]] bool listed() const noexcept { return listed_; }
  /// Why images() may be old; nothing while it is current.
  [[nodiscard]] std::optional<Error> problem() const;

 private:
  struct Known {
    std::string version;
    std::optional<OsImage> image;  // nothing: it is malformed
  };

  KubernetesWatch(std::unique_ptr<ApiClient> client, OnWarning on_warning, Delays delays);

  void run(const std::stop_token& stop);
  Result<std::string> list(const std::stop_token& stop);
  Result<void> follow(std::string version, const std::stop_token& stop);
  bool take(ApiEvent event, std::string& version);
  [[nodiscard]] Known known(const ApiObject& object) const;
  void report(const Error& error);
  void set_problem(std::optional<Error> problem);

  std::unique_ptr<ApiClient> client_;
  const OnWarning on_warning_;
  const Delays delays_;
  std::string reported_;  // the last failure that on_warning_ was told
  bool overfull_ = false;

  mutable std::mutex mutex_;
  std::map<std::string, Known> objects_;
  std::optional<Error> problem_;
  std::atomic<bool> changed_ = false, listed_ = false;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace ingot::agent
