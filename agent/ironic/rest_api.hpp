/// RestApi: the agent's REST API as the conductor knows it, without the network: what is answered
/// to which request.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "agent/http/http_server.hpp"
#include "agent/ironic/command_table.hpp"
#include "agent/ironic/node_state.hpp"

namespace ingot::agent {

/// Routes: `/`, `/v1/`, `/v1/status`, `/v1/commands/`, `/v1/commands/ID`, and the last three
/// without their version; `/metrics`, in Prometheus' text format, for everybody: it has no secrets.
///
/// Token    a query parameter. Whoever sends a command needs it; who only lists them needs the
///          right one or none, since conductors up to 2023 send none there: what they see holds no
///          secrets. Nor can they wait for a command's end.
/// Errors   {"faultcode", "faultstring"}, both strings, whatever the status.
/// Source   ironic-python-agent's api/app.py for routes, statuses and texts.
class RestApi final : public HttpHandler {
 public:
  /// Both outlive it.
  RestApi(CommandTable& commands, const NodeState& node);

  /// The agent's own URL, for the documents that name it. Before the server starts.
  void set_own_url(std::string url);

  [[nodiscard]] bool wants_body(const HttpRequest& header) const override;
  HttpAnswer answer(const HttpRequest& request) override;
  [[nodiscard]] std::string error_body(unsigned status, std::string_view what) const override;

 private:
  [[nodiscard]] std::string progress() const;
  HttpAnswer post(std::string_view body, bool wait);
  [[nodiscard]] HttpAnswer list() const;
  [[nodiscard]] HttpAnswer show(const std::string& id, bool wait) const;
  [[nodiscard]] HttpAnswer root_document() const;
  [[nodiscard]] HttpAnswer version_document() const;
  [[nodiscard]] HttpAnswer status() const;
  [[nodiscard]] HttpAnswer metrics() const;
  [[nodiscard]] HttpAnswer error(unsigned status, std::string_view what) const;
  [[nodiscard]] HttpAnswer error(const AgentError& error) const;

  CommandTable& commands_;
  const NodeState& node_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  std::string own_url_;
};

}  // namespace ingot::agent
