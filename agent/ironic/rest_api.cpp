#include "agent/ironic/rest_api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <boost/url.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "agent/report/metrics_text.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

// A request's target, understood.
struct Request {
  enum class Route { root, version, status, metrics, commands, command, redirect, unknown };
  Route route = Route::unknown;
  std::string id;  // of a command
  std::optional<std::string> token;
  bool wait = false;
};

bool is_true(std::string_view text) {
  return text.size() == 4 && (text[0] | 0x20) == 't' && (text[1] | 0x20) == 'r' &&
         (text[2] | 0x20) == 'u' && (text[3] | 0x20) == 'e';
}

Request::Route route_of(const std::vector<std::string>& parts, std::string& id) {
  using Route = Request::Route;
  // An empty last part is a slash at the end.
  auto rest = parts;
  const bool versioned = !rest.empty() && rest.front() == "v1";
  if (versioned) rest.erase(rest.begin());
  if (rest.empty()) return versioned ? Route::redirect : Route::root;
  if (rest.size() == 1 && rest[0].empty()) return versioned ? Route::version : Route::root;
  if (rest[0] == "metrics" && rest.size() == 1 && !versioned) return Route::metrics;
  if (rest[0] == "status" && (rest.size() == 1 || (rest.size() == 2 && rest[1].empty())))
    return Route::status;
  if (rest[0] != "commands") return Route::unknown;
  if (rest.size() == 1) return Route::redirect;
  if (rest.size() > 2) return Route::unknown;
  id = rest[1];
  return id.empty() ? Route::commands : Route::command;
}

std::optional<Request> understand(std::string_view target) {
  const auto url = boost::urls::parse_origin_form({target.data(), target.size()});
  if (!url) return std::nullopt;
  Request request;
  std::vector<std::string> parts;
  for (const auto segment : url->segments()) parts.emplace_back(segment);
  request.route = route_of(parts, request.id);
  for (const auto parameter : url->params()) {
    if (parameter.key == "agent_token") request.token = parameter.value;
    if (parameter.key == "wait") request.wait = is_true(parameter.value);
  }
  return request;
}

// "/v1/commands?wait=true" with its slash.
std::string with_slash(std::string_view target) {
  const auto query = std::min(target.find('?'), target.size());
  return std::string(target.substr(0, query)) + '/' + std::string(target.substr(query));
}

HttpAnswer document(const json::object& object) {
  return {.status = 200, .body = json::serialize(object)};
}

}  // namespace

RestApi::RestApi(CommandTable& commands, const NodeState& node)
    : commands_(commands), node_(node) {}

void RestApi::set_own_url(std::string url) {
  own_url_ = std::move(url);
}

bool RestApi::wants_body(const HttpRequest& header) const {
  if (header.method != "POST") return false;
  const auto request = understand(header.target);
  return request && request->route == Request::Route::commands && request->token &&
         node_.is_token(*request->token);
}

HttpAnswer RestApi::answer(const HttpRequest& http) {
  using Route = Request::Route;
  const auto request = understand(http.target);
  if (!request) return error(400, "the path is malformed.");
  const auto not_allowed = [this](std::string allow) {
    HttpAnswer answer = error(405, "The method is not allowed for the requested URL.");
    answer.allow = std::move(allow);
    return answer;
  };
  const bool get = http.method == "GET";
  switch (request->route) {
    case Route::unknown:
      return error(404, "The requested URL was not found on the server.");
    case Route::redirect: {
      HttpAnswer answer = error(308, "The path ends in a slash.");
      answer.location = with_slash(http.target);
      return answer;
    }
    case Route::root:
      return get ? root_document() : not_allowed("GET");
    case Route::version:
      return get ? version_document() : not_allowed("GET");
    case Route::status:
      return get ? status() : not_allowed("GET");
    case Route::metrics:
      return get ? metrics() : not_allowed("GET");
    case Route::commands:
    case Route::command:
      break;
  }
  const bool post_here = http.method == "POST" && request->route == Route::commands;
  if (!get && !post_here)
    return not_allowed(request->route == Route::commands ? "GET, POST" : "GET");
  const bool known = request->token && node_.is_token(*request->token);
  if (!known && (post_here || request->token)) return error(401, "Token invalid.");
  if (post_here) return post(http.body, request->wait);
  if (request->route == Route::commands) return list();
  // Who waits keeps a connection for as long as a command runs.
  return show(request->id, known && request->wait);
}

std::string RestApi::error_body(unsigned status, std::string_view what) const {
  return json::serialize(json::object{{"faultcode", status >= 500 ? "Server" : "Client"},
                                      {"faultstring", utf8(what)}});
}

HttpAnswer RestApi::error(unsigned status, std::string_view what) const {
  const char* reason = status == 308   ? "Permanent Redirect"
                       : status == 400 ? "Bad Request"
                       : status == 401 ? "Unauthorized"
                       : status == 404 ? "Not Found"
                       : status == 405 ? "Method Not Allowed"
                                       : "Error";
  return {.status = status,
          .body = error_body(status, fmt::format("{} {}: {}", status, reason, what))};
}

HttpAnswer RestApi::error(const AgentError& error) const {
  const auto status = static_cast<unsigned>(error.code);
  return {.status = status,
          .body = error_body(status, fmt::format("{}: {}", error.message, error.details))};
}

std::string RestApi::progress() const {
  const auto job = node_.job();
  return job ? job->json() : std::string();
}

HttpAnswer RestApi::post(std::string_view body, bool wait) {
  auto parsed = parse_json_object(body);
  if (!parsed) return error(400, "The body is no JSON object.");
  const std::string name = string_in(*parsed, "name");
  json::value* params = parsed->if_contains("params");
  if (name.empty() || params == nullptr || !params->is_object())
    return error(400, "Missing or invalid name or params");
  const auto record = commands_.execute(name, std::move(params->get_object()));
  if (!record) return error(record.error());
  if (wait && record->status == CommandStatus::running) return show(record->id, true);
  return {.status = 200, .body = to_json(*record, progress())};
}

HttpAnswer RestApi::list() const {
  std::string body;
  const std::string running = progress();
  for (const auto& record : commands_.records())
    body += (body.empty() ? "" : ",") + to_json(record, running);
  return {.status = 200, .body = R"({"commands":[)" + body + "]}"};
}

HttpAnswer RestApi::show(const std::string& id, bool wait) const {
  const auto record = commands_.find(id);
  if (!record) return error(not_found(fmt::format("Command Result with id {} not found.", id)));
  HttpAnswer answer{.status = 200, .body = to_json(*record, progress())};
  if (wait && record->status == CommandStatus::running)
    answer.later = [this, id]() -> std::optional<HttpAnswer> {
      const auto now = commands_.find(id);
      if (now && now->status == CommandStatus::running) return std::nullopt;
      return show(id, false);
    };
  return answer;
}

HttpAnswer RestApi::status() const {
  const std::chrono::duration<double> since = started_.time_since_epoch();
  return {.status = 200,
          .body = fmt::format(R"({{"started_at":{:.3f},"version":"{}"}})", since.count(),
                              INGOT_VERSION)};
}

HttpAnswer RestApi::metrics() const {
  const std::chrono::duration<double> since = started_.time_since_epoch();
  int running = 0, succeeded = 0, failed = 0;
  for (const CommandRecord& record : commands_.records())
    ++(record.status == CommandStatus::running     ? running
       : record.status == CommandStatus::succeeded ? succeeded
                                                   : failed);
  MetricsText text;
  text.family("ingot_agent_info", "gauge", "What this agent is");
  text.value(1, "version=" + MetricsText::quoted(INGOT_VERSION));
  text.single("ingot_agent_start_time_seconds", "gauge", "When it was started, Unix time",
              fmt::format("{:.3f}", since.count()));
  text.family("ingot_agent_commands", "gauge",
              "Commands that it remembers, by what became of them");
  text.value(running, "status=\"running\"");
  text.value(succeeded, "status=\"succeeded\"");
  text.value(failed, "status=\"failed\"");
  const auto job = node_.job();
  text.single("ingot_job_running", "gauge", "Whether a job is under way", job ? 1 : 0);
  if (job) {
    const ProgressSnapshot now = job->look();
    text.family("ingot_job_phase", "gauge", "The phase that the job is in");
    text.value(1, "phase=" + MetricsText::quoted(name(now.phase)));
    text.single("ingot_job_received_bytes", "gauge", "Of the image file, as served", now.received);
    if (now.expected)
      text.single("ingot_job_expected_bytes", "gauge", "The image file's size", *now.expected);
    text.single("ingot_job_written_bytes", "gauge", "Data written to the disk", now.written);
    text.single("ingot_job_zeroed_bytes", "gauge", "Zeros written to the disk", now.zeroed);
    text.single("ingot_job_receive_rate_bytes", "gauge", "Bytes a second over the last seconds",
                fmt::format("{:.0f}", now.receive_rate));
    if (now.percent)
      text.single("ingot_job_percent", "gauge", "0 to 100", fmt::format("{:.2f}", *now.percent));
  }
  return {.status = 200, .body = text.take(), .content_type = std::string(kMetricsType)};
}

HttpAnswer RestApi::root_document() const {
  const json::object version{
      {"id", "v1"},
      {"links", json::array{json::object{{"href", own_url_ + "/v1"}, {"rel", "self"}}}}};
  return document({{"name", "ingot agent"},
                   {"description", "Writes an image onto this machine as Ironic orders it"},
                   {"versions", json::array{version}},
                   {"default_version", version}});
}

HttpAnswer RestApi::version_document() const {
  const auto links = [this](std::string_view name) {
    return json::array{
        json::object{{"href", fmt::format("{}/v1/{}", own_url_, name)}, {"rel", "self"}},
        json::object{{"href", fmt::format("{}/{}", own_url_, name)}, {"rel", "bookmark"}}};
  };
  return document(
      {{"id", "v1"},
       {"links", json::array{json::object{{"href", own_url_ + "/v1"}, {"rel", "self"}}}},
       {"commands", links("commands")},
       {"status", links("status")},
       {"media_types", json::array{json::object{
                           {"base", "application/json"},
                           {"type", "application/vnd.openstack.ironic-python-agent.v1+json"}}}}});
}

}  // namespace ingot::agent
