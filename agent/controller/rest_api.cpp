#include "agent/controller/rest_api.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <utility>

#include "agent/controller/documents.hpp"
#include "agent/controller/page.hpp"
#include "agent/controller/stream.hpp"
#include "agent/report/event.hpp"
#include "agent/report/metrics_text.hpp"
#include "agent/text/text.hpp"
#include "disk/core/lower_case.hpp"

namespace ingot::agent {
namespace {

using What = Route::What;

constexpr std::size_t kMostDeployments = 50;  // of a page of answers
constexpr std::size_t kMostEvents = 500;
constexpr std::size_t kMostEventBytes = 1UL << 20;
constexpr int kMostStreams = 64;
constexpr std::string_view kCloudEvents = "application/cloudevents+json";

HttpAnswer document(std::string body, unsigned status = 200) {
  return {.status = status,
          .body = std::move(body),
          .fields = {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}};
}

HttpAnswer error(unsigned status, std::string_view code, std::string_view message,
                 std::string_view advice = {}) {
  return document(error_document(code, message, advice), status);
}

HttpAnswer no_machine(std::string_view name) {
  return error(404, "not-found", fmt::format("there is no machine {}", printable(name)),
               "a manifest of kind Machine or NodeClaim in the directory of --machines names it");
}

HttpAnswer no_deployment(std::string_view id) {
  return error(404, "not-found", fmt::format("there is no deployment {}", printable(id)));
}

// The state file's disk is full or broken: what was asked may succeed later.
HttpAnswer unavailable(const Error& failure) {
  HttpAnswer answer = error(503, "unavailable", failure.message(), failure.advice());
  answer.fields.emplace_back("Retry-After", "1");
  return answer;
}

bool is_post(What what) {
  return methods(what) == "POST";
}

// What is answered from the store, or may take its time.
bool needs_worker(What what) {
  switch (what) {
    case What::machine_events:
    case What::machine_reinstall:
    case What::machine_deployments:
    case What::deployment:
    case What::deployment_events:
    case What::metrics:
      return true;
    default:
      return false;
  }
}

std::optional<std::int64_t> number(const std::string& text, std::int64_t absent) {
  if (text.empty()) return absent;
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A page of another origin makes a browser ask as well: what it orders is not its user's wish.
bool is_foreign(const HttpRequest& http) {
  if (http.origin.empty()) return false;
  const auto scheme = http.origin.find("://");
  return scheme == std::string_view::npos || http.origin.substr(scheme + 3) != http.host;
}

// Whether a Host field names this host as nobody else can: by address, as localhost, or by a name
// without a dot, which no public domain is. None is no browser's.
bool is_local_name(std::string_view host) {
  if (host.empty() || host.front() == '[') return true;
  const std::string name = lower_case(host.substr(0, host.find(':')));
  in_addr four{};
  return name.find('.') == std::string::npos || name.ends_with(".localhost") ||
         ::inet_pton(AF_INET, name.c_str(), &four) == 1;
}

MachineIdentity identity_of(const Route& route) {
  MachineIdentity identity;
  for (const auto& [name, value] : route.parameters) {
    if (name == "mac" && !value.empty()) identity.macs.push_back(value);
    if (name == "uuid") identity.uuid = value;
    if (name == "serial") identity.serial = value;
    if (name == "name") identity.name = value;
  }
  return identity;
}

}  // namespace

RestApi::RestApi(Store& store, Fleet& fleet, const LiveSite& site, Metrics& metrics)
    : store_(store),
      fleet_(fleet),
      site_(site),
      metrics_(metrics),
      process_(random_uuid().substr(0, 8)),
      tokens_(std::make_shared<const Tokens>()) {}

void RestApi::set_tokens(std::shared_ptr<const Tokens> tokens) {
  const std::lock_guard lock(mutex_);
  tokens_ = std::move(tokens);
}

std::shared_ptr<const Tokens> RestApi::tokens() const {
  const std::lock_guard lock(mutex_);
  return tokens_;
}

bool RestApi::wants_body(const HttpRequest& header) const {
  const auto route = route_of(header.target);
  return route && needs_worker(route->what) && !refusal(header, *route);
}

HttpAnswer RestApi::answer(const HttpRequest& request) {
  const auto route = route_of(request.target);
  if (!route) {
    metrics_.count_request("unknown", 400);
    return error(400, "bad-request", "the path or the query is malformed");
  }
  HttpAnswer answer;
  if (auto refused = refusal(request, *route))
    answer = *std::move(refused);
  else
    answer = serve(request, *route);
  if (route->what == What::machine_events && answer.later)
    return answer;  // counted when it is known
  // 503 is counted where it comes from.
  if (route->what == What::machine_events && answer.status >= 400 && answer.status != 503)
    metrics_.count_event(Metrics::Event::refused, 0);
  metrics_.count_request(name(route->what), answer.status);
  return answer;
}

std::string RestApi::error_body(unsigned status, std::string_view what) const {
  const char* const code = status == 408   ? "timeout"
                           : status == 413 ? "too-large"
                           : status == 431 ? "too-large"
                           : status == 503 ? "unavailable"
                           : status >= 500 ? "internal"
                                           : "bad-request";
  return error_document(code, what, "");
}

std::optional<HttpAnswer> RestApi::refusal(const HttpRequest& http, const Route& route) const {
  if (route.what == What::unknown)
    return error(404, "not-found", fmt::format("there is nothing at {}", printable(route.path)),
                 "docs/controller.md lists what there is");
  const bool read = http.method == "GET" || http.method == "HEAD";
  if (is_post(route.what) ? http.method != "POST" : !read) {
    HttpAnswer answer =
        error(405, "method-not-allowed",
              fmt::format("{} takes {}", printable(route.path), methods(route.what)));
    answer.allow = methods(route.what);
    return answer;
  }
  if (auto refused = unauthorized(http, route)) return refused;
  const auto tokens = this->tokens();
  const bool machines_route = route.what == What::provision || route.what == What::machine_events;
  const bool open = machines_route ? !tokens->asks_machines() : !tokens->asks_page();
  if (open && route.what != What::page && route.what != What::health && is_led_astray(http))
    return error(403, "forbidden",
                 fmt::format("{} is no name of this host alone", printable(http.host)),
                 fmt::format("use its address or localhost, or start ingot-controller with {}",
                             machines_route ? "--machine-tokens" : "--page-token-file"));
  if (is_post(route.what) && is_foreign(http))
    return error(403, "forbidden", "the request comes from a page of another origin");
  if (is_post(route.what) && !fleet_.knows(route.subject)) return no_machine(route.subject);
  if (route.what == What::machine_events &&
      lower_case(http.content_type.substr(0, kCloudEvents.size())) != kCloudEvents)
    return error(415, "unsupported-media-type",
                 fmt::format("events come as {}, one a request", kCloudEvents));
  return std::nullopt;
}

std::optional<HttpAnswer> RestApi::unauthorized(const HttpRequest& http, const Route& route) const {
  const auto tokens = this->tokens();
  bool allowed = true, known = false;
  std::string_view whose = "the page's token";
  switch (route.what) {
    case What::page:
    case What::health:
    case What::unknown:
      break;
    case What::provision:
      // Whose token it has to be is known when the machine is.
      allowed = tokens->is_some_machines(http.authorization);
      whose = "the machine's token";
      break;
    case What::machine_events:
      allowed = tokens->is_machines(http.authorization, route.subject);
      known = !allowed && tokens->is_some_machines(http.authorization);
      whose = "the machine's token";
      break;
    default:
      allowed = tokens->is_pages(http.authorization);
  }
  if (allowed) return std::nullopt;
  if (known)
    return error(403, "forbidden", "this is another machine's token",
                 "each machine has its own line in the file of --machine-tokens");
  HttpAnswer answer =
      http.authorization.empty()
          ? error(401, "unauthorized", fmt::format("{} is needed", whose),
                  "send it as Authorization: Bearer TOKEN")
          : error(401, "unauthorized", fmt::format("this is not {}", whose),
                  "compare it with the file that ingot-controller was started with");
  answer.fields.emplace_back("WWW-Authenticate", "Bearer");
  return answer;
}

bool RestApi::is_led_astray(const HttpRequest& http) const {
  return loopback_only_ && !is_local_name(http.host);
}

HttpAnswer RestApi::serve(const HttpRequest& http, const Route& route) {
  switch (route.what) {
    case What::unknown:
      break;
    case What::page:
      return page(http, route);
    case What::health:
      return health(http);
    case What::metrics:
      return metrics();
    case What::provision:
      return provision(http, route);
    case What::machines:
      return machines();
    case What::machine:
      return machine(route);
    case What::machine_deployments:
      return deployments(route);
    case What::machine_events:
      return take_event(http, route);
    case What::machine_reinstall:
      return reinstall(route);
    case What::deployment:
      return deployment(route);
    case What::deployment_events:
      return events(route);
    case What::os_images:
      return document(os_images_document(*site_.view().site));
    case What::stream:
      return stream(http);
  }
  return error(500, "internal", "a route without an answer");
}

HttpAnswer RestApi::provision(const HttpRequest& http, const Route& route) {
  const auto site = site_.view().site;
  const MachineIdentity identity = identity_of(route);
  if (identity.name.empty() && identity.macs.empty() && identity.uuid.empty() &&
      identity.serial.empty())
    return error(400, "bad-request", "the query says nothing of the machine",
                 "ask with mac=, uuid=, serial= or name=");
  const auto matched = match_machine(site->manifests.machines, identity);
  if (!matched) return error(409, "ambiguous", matched.error().message(), matched.error().advice());
  const Machine* const machine = *matched;
  const auto state = machine != nullptr ? fleet_.find(machine->name) : std::nullopt;
  if (!state)
    return error(404, "not-found", "no machine has this name, MAC address, UUID or serial number",
                 "write a manifest of kind Machine for it, with ingot.io/mac-addresses");
  const auto tokens = this->tokens();
  if (!tokens->is_machines(http.authorization, machine->name))
    return error(403, "forbidden", "this is another machine's token",
                 "each machine has its own line in the file of --machine-tokens");

  const Plan& plan = site->plans.at(machine->name);
  HttpAnswer answer;
  if (!plan.request) {
    const Error& failure = plan.request.error();
    // What a catalog's server did not answer it may answer later; a manifest has to be put right.
    if (failure.cls() == ErrorClass::controller)
      answer = unavailable(failure);
    else
      answer = error(failure.cls() == ErrorClass::access ? 403 : 422, name(failure.code()),
                     failure.message(), failure.advice());
  } else if (is_installed(*state, plan) && !machine->always_reinstall) {
    answer = document({}, 204);
  } else {
    DeployRequest request = *plan.request;
    if (request.report_url.empty()) {
      // Relative to this request's URL, so that it goes the same way through proxies.
      request.report_url = fmt::format("machines/{}/events?request={}", machine->name,
                                       installation_tag(plan, state->reinstalls));
      request.report_token = tokens->machine_token(machine->name);
    }
    answer = document(to_json(request));
  }
  if (http.method == "GET") fleet_.take_question(machine->name, answer.status);
  return answer;
}

HttpAnswer RestApi::take_event(const HttpRequest& http, const Route& route) {
  auto event = parse_cloud_event(http.body);
  if (!event) return error(400, "bad-event", event.error().message(), event.error().advice());
  const std::string tag = route.parameter("request");
  if (tag.size() > 128 || tag.find_first_not_of("0123456789abcdef-") != std::string::npos)
    return error(400, "bad-request", "the query's request is no tag of this controller",
                 "report to the URL of the deploy request");
  // Shared by the store's thread, which stores the event, and the server's, which waits for it.
  struct Outcome {
    std::mutex mutex;
    std::optional<Result<Appended>> appended;
  };
  const auto outcome = std::make_shared<Outcome>();
  NewEvent to_store{.deploy_id = event->deploy_id,
                    .seq = event->seq,
                    .machine = route.subject,
                    .type = event->type,
                    .time = event->time,
                    .request = tag,
                    .body = std::string(http.body),
                    .status = event->result.status,
                    .disk = event->result.disk};
  const std::size_t size = http.body.size();
  const bool taken = store_.append(std::move(to_store),
                                   [&fleet = fleet_, outcome, event = *std::move(event), tag,
                                    machine = route.subject](const Result<Appended>& appended) {
                                     if (appended && appended->outcome == Appended::Outcome::stored)
                                       fleet.take(machine, tag, event, *appended);
                                     const std::lock_guard lock(outcome->mutex);
                                     outcome->appended = appended;
                                   });
  if (!taken) {
    metrics_.count_event(Metrics::Event::unavailable, 0);
    return unavailable(Error(Errc::write_io, "too many events wait for the state file"));
  }
  HttpAnswer answer;
  answer.later = [this, outcome, size]() -> std::optional<HttpAnswer> {
    std::optional<Result<Appended>> appended;
    {
      const std::lock_guard lock(outcome->mutex);
      appended = outcome->appended;
    }
    if (!appended) return std::nullopt;
    HttpAnswer made;
    auto counted = Metrics::Event::unavailable;
    if (!*appended) {
      made = unavailable(appended->error());
    } else {
      using Became = Appended::Outcome;
      switch ((*appended)->outcome) {
        case Became::stored:
          counted = Metrics::Event::stored;
          made = document(R"({"stored":true})");
          break;
        case Became::duplicate:
          counted = Metrics::Event::duplicate;
          made = document(R"({"stored":false})");
          break;
        case Became::conflict:
          counted = Metrics::Event::conflict;
          made = error(409, "conflict", "another event of this source has this id",
                       "source and id together name one event");
          break;
        case Became::other_machine:
          counted = Metrics::Event::conflict;
          made = error(409, "conflict", "this source is a deployment of another machine");
          break;
      }
    }
    metrics_.count_event(counted, size);
    metrics_.count_request(name(What::machine_events), made.status);
    return made;
  };
  return answer;
}

HttpAnswer RestApi::reinstall(const Route& route) {
  const auto ordered = store_.order_reinstall(route.subject);
  if (!ordered) return unavailable(ordered.error());
  fleet_.take_reinstall(route.subject, *ordered);
  say(fmt::format("the machine {} is to be installed again", route.subject));
  return machine(route);
}

HttpAnswer RestApi::machines() const {
  const auto site = site_.view().site;
  std::string body = "{\"machines\":[";
  for (const MachineState& state : fleet_.all()) {
    if (body.back() != '[') body += ',';
    body += machine_document(state, *site);
  }
  return document(body + "]}");
}

HttpAnswer RestApi::machine(const Route& route) const {
  const auto state = fleet_.find(route.subject);
  if (!state) return no_machine(route.subject);
  return document(machine_document(*state, *site_.view().site));
}

HttpAnswer RestApi::deployments(const Route& route) {
  if (!fleet_.knows(route.subject)) return no_machine(route.subject);
  const auto before = number(route.parameter("before"), INT64_MAX);
  if (!before) return error(400, "bad-request", "the query's before is no number");
  const auto found = store_.deployments(route.subject, *before, kMostDeployments);
  if (!found) return unavailable(found.error());
  std::string body = "{\"deployments\":[";
  for (const StoredDeployment& deployment : *found) {
    if (body.back() != '[') body += ',';
    body += deployment_document(deployment_from(deployment));
  }
  const std::string next =
      found->size() == kMostDeployments ? fmt::format("{}", found->back().first_event) : "null";
  return document(body + fmt::format("],\"next\":{}}}", next));
}

HttpAnswer RestApi::deployment(const Route& route) {
  if (!is_uuid(route.subject)) return no_deployment(route.subject);
  const auto found = store_.deployment(route.subject);
  if (!found) return unavailable(found.error());
  if (!*found) return no_deployment(route.subject);
  return document(deployment_document(deployment_from(**found)));
}

HttpAnswer RestApi::events(const Route& route) {
  if (!is_uuid(route.subject)) return no_deployment(route.subject);
  const auto after = number(route.parameter("after"), -1);
  if (!after) return error(400, "bad-request", "the query's after is no number");
  const auto found = store_.events(route.subject, *after, kMostEvents, kMostEventBytes);
  if (!found) return unavailable(found.error());
  if (found->empty()) {
    const auto deployment = store_.deployment(route.subject);
    if (!deployment) return unavailable(deployment.error());
    if (!*deployment) return no_deployment(route.subject);
  }
  std::size_t bytes = 0;
  for (const StoredEvent& event : *found) bytes += event.body.size();
  return document(
      events_document(*found, found->size() == kMostEvents || bytes >= kMostEventBytes));
}

HttpAnswer RestApi::stream(const HttpRequest& http) {
  // Counts itself as long as the answer lives.
  struct Open {
    Open(Metrics& counted_in, EventStream stream)
        : counters(counted_in), events(std::move(stream)) {
      counters.stream_begins();
    }
    ~Open() { counters.stream_ends(); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    Metrics& counters;
    EventStream events;
  };
  if (metrics_.streams() >= kMostStreams)
    return unavailable(Error(Errc::controller_refused, "too many streams are open"));
  HttpAnswer answer = document({});
  answer.content_type = "text/event-stream";
  // nginx would collect what is sent otherwise.
  answer.fields.emplace_back("X-Accel-Buffering", "no");
  if (http.method == "HEAD") return answer;
  const auto open =
      std::make_shared<Open>(metrics_, EventStream(fleet_, site_, process_, http.last_event_id));
  answer.more = [this, open, tokens = tokens()]() -> std::optional<std::string> {
    // Whoever follows has to show what counts now.
    if (tokens != this->tokens()) return std::nullopt;
    return open->events.next(EventStream::Clock::now());
  };
  return answer;
}

HttpAnswer RestApi::health(const HttpRequest& http) const {
  const LiveSite::View view = site_.view();
  // What is wrong names files and images: for those who may see them.
  const auto tokens = this->tokens();
  const bool told =
      tokens->is_pages(http.authorization) && (tokens->asks_page() || !is_led_astray(http));
  if (view.problem.empty()) return document(R"({"status":"ok"})");
  return document(fmt::format("{{\"status\":\"degraded\",{}}}",
                              // The braces of its own document.
                              [&] {
                                const std::string error = error_document(
                                    "manifests",
                                    told ? view.problem : "the manifests changed and are not taken",
                                    "the last good state stays in use until they are corrected");
                                return error.substr(1, error.size() - 2);
                              }()));
}

HttpAnswer RestApi::metrics() {
  const auto totals = store_.totals();
  if (!totals) return unavailable(totals.error());
  HttpAnswer answer = document(metrics_.text(fleet_, site_.view(), *totals));
  answer.content_type = kMetricsType;
  return answer;
}

HttpAnswer RestApi::page(const HttpRequest& http, const Route& route) const {
  for (const PageFile& file : page_files()) {
    if (file.path != route.path) continue;
    const std::string tag = '"' + sha256_hex(file.content).substr(0, 16) + '"';
    HttpAnswer answer{
        .status = 200,
        .content_type = std::string(file.content_type),
        .fields = {{"ETag", tag},
                   {"Cache-Control", "no-cache"},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Content-Security-Policy",
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
                    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                    "frame-ancestors 'none'"}}};
    if (http.if_none_match.find(tag) != std::string_view::npos)
      answer.status = 304;
    else
      answer.body = file.content;
    return answer;
  }
  return error(404, "not-found", "there is no such file");
}

}  // namespace ingot::agent
