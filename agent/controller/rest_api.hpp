/// RestApi: what machines, people and programs ask the controller (docs/controller-openapi.yaml).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "agent/controller/fleet.hpp"
#include "agent/controller/metrics.hpp"
#include "agent/controller/route.hpp"
#include "agent/controller/site.hpp"
#include "agent/controller/store.hpp"
#include "agent/controller/tokens.hpp"
#include "agent/http/http_server.hpp"

namespace ingot::agent {

/// Answers from memory at once; what needs the store is asked on the server's worker, and an event
/// is answered when it is committed.
class RestApi final : public HttpHandler {
 public:
  /// All outlive it, and the fleet outlives the store.
  RestApi(Store& store, Fleet& fleet, const LiveSite& site, Metrics& metrics);

  /// From now on. Before: everybody may do everything.
  void set_tokens(std::shared_ptr<const Tokens> tokens);
  /// It is reached from this host alone, which is all that protects what needs no token: a web page
  /// whose name its owner lets lead here (DNS rebinding) is told nothing. To be set before it
  /// answers.
  void set_loopback_only() { loopback_only_ = true; }

  [[nodiscard]] bool wants_body(const HttpRequest& header) const override;
  HttpAnswer answer(const HttpRequest& request) override;
  [[nodiscard]] std::string error_body(unsigned status, std::string_view what) const override;

 private:
  /// Why the request gets no answer of its route; decided by its header alone.
  [[nodiscard]] std::optional<HttpAnswer> refusal(const HttpRequest& http,
                                                  const Route& route) const;
  [[nodiscard]] std::optional<HttpAnswer> unauthorized(const HttpRequest& http,
                                                       const Route& route) const;
  /// Whether the request came under a name that anybody may let lead to this host.
  [[nodiscard]] bool is_led_astray(const HttpRequest& http) const;
  HttpAnswer serve(const HttpRequest& http, const Route& route);

  HttpAnswer provision(const HttpRequest& http, const Route& route);
  HttpAnswer take_event(const HttpRequest& http, const Route& route);
  HttpAnswer reinstall(const Route& route);
  HttpAnswer machines() const;
  HttpAnswer machine(const Route& route) const;
  HttpAnswer deployments(const Route& route);
  HttpAnswer deployment(const Route& route);
  HttpAnswer events(const Route& route);
  HttpAnswer stream(const HttpRequest& http);
  HttpAnswer health(const HttpRequest& http) const;
  HttpAnswer metrics();
  HttpAnswer page(const HttpRequest& http, const Route& route) const;
  [[nodiscard]] std::shared_ptr<const Tokens> tokens() const;

  Store& store_;
  Fleet& fleet_;
  const LiveSite& site_;
  Metrics& metrics_;
  const std::string process_;
  bool loopback_only_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const Tokens> tokens_;
};

}  // namespace ingot::agent
