#include "agent/controller/documents.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <optional>

#include "agent/process/secrets.hpp"
#include "agent/report/event.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

json::value text_or_null(std::string_view text) {
  return text.empty() ? json::value(nullptr) : json::value(utf8(text));
}

template <class Number>
json::value number_or_null(const std::optional<Number>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::value time_or_null(std::int64_t unix_ms) {
  if (unix_ms == 0) return nullptr;
  return json::value(
      rfc3339(std::chrono::system_clock::time_point(std::chrono::milliseconds(unix_ms))));
}

json::value problem_of(std::string_view code, std::string_view message, std::string_view advice) {
  return {{"code", utf8(code)}, {"message", utf8(message)}, {"advice", utf8(advice)}};
}

json::array texts(const std::vector<std::string>& all) {
  json::array array;
  for (const auto& text : all) array.push_back(json::value(utf8(text)));
  return array;
}

// `object` with one more member, whose value is JSON text. (Boost.JSON writes 24.5 as 2.45E1.)
std::string with_member(const json::object& object, std::string_view name, std::string_view value) {
  std::string text = json::serialize(object);
  text.pop_back();
  return text + fmt::format("{}\"{}\":{}}}", object.empty() ? "" : ",", name, value);
}

json::value error_of(const DeployResult& result) {
  if (result.error_code.empty() && result.error_message.empty()) return nullptr;
  return {{"code", utf8(result.error_code)},
          {"class", utf8(result.error_class)},
          {"message", utf8(result.error_message)},
          {"advice", utf8(result.error_advice)}};
}

}  // namespace

std::string error_document(std::string_view code, std::string_view message,
                           std::string_view advice) {
  return json::serialize(json::object{{"error", problem_of(code, message, advice)}});
}

std::string deployment_document(const Deployment& deployment) {
  const DeployProgress& progress = deployment.progress;
  const json::object object{{"id", deployment.id},
                            {"machine", deployment.machine},
                            {"status", deployment.status},
                            {"phase", text_or_null(deployment.phase)},
                            {"begun", time_or_null(deployment.begun)},
                            {"updated", time_or_null(deployment.updated)},
                            {"image_url", text_or_null(redacted(deployment.image_url))},
                            {"device", text_or_null(deployment.device)},
                            {"bytes_received", number_or_null(progress.received)},
                            {"bytes_expected", number_or_null(progress.expected)},
                            {"bytes_written", number_or_null(progress.written)},
                            {"bytes_zeroed", number_or_null(progress.zeroed)},
                            {"bytes_verified", number_or_null(progress.verified)},
                            {"virtual_size", number_or_null(progress.virtual_size)},
                            {"receive_rate", number_or_null(progress.receive_rate)},
                            {"eta_seconds", number_or_null(progress.eta_seconds)},
                            {"retries", deployment.retries},
                            {"last_retry", text_or_null(deployment.last_retry)},
                            {"note", text_or_null(deployment.note)},
                            {"error", error_of(deployment.result)},
                            {"disk_state", text_or_null(deployment.disk)},
                            {"digest", text_or_null(deployment.result.digest)},
                            {"image_format", text_or_null(deployment.result.image_format)}};
  const auto& percent = progress.percent;
  const auto& seconds = deployment.result.seconds;
  const std::string text =
      with_member(object, "seconds", seconds ? fmt::format("{:.3f}", *seconds) : "null");
  return text.substr(0, text.size() - 1) +
         (percent ? fmt::format(",\"percent\":{:.2f}}}", *percent) : ",\"percent\":null}");
}

std::string installation_tag(const Plan& plan, std::int64_t reinstalls) {
  return plan.request ? fmt::format("{}-{}", plan.tag, reinstalls) : std::string();
}

bool is_installed(const MachineState& state, const Plan& plan) {
  return plan.request && state.installed == installation_tag(plan, state.reinstalls);
}

bool is_order_open(const MachineState& state) {
  if (state.reinstalls == 0) return false;
  const std::string ending = fmt::format("-{}", state.reinstalls);
  return !state.last || !state.last->request.ends_with(ending);
}

std::string machine_document(const MachineState& state, const Site& site) {
  json::object object{{"name", state.name}};
  const Machine* const machine = site.find(state.name);
  const auto plan = site.plans.find(state.name);
  json::value image(nullptr), problem(nullptr), reinstall(nullptr);
  bool installed = false;
  if (plan != site.plans.end()) {
    const auto& request = plan->second.request;
    if (request) {
      image = text_or_null(request->os_image);
      installed = is_installed(state, plan->second);
    } else {
      problem = problem_of(name(request.error().code()), request.error().message(),
                           request.error().advice());
    }
  }
  if (is_order_open(state)) reinstall = "once";
  json::array macs;
  if (machine != nullptr) {
    macs = texts(machine->macs);
    if (machine->always_reinstall) reinstall = "always";
  }
  object["os_image"] = image;
  object["installed"] = installed;
  object["reinstall"] = reinstall;
  object["problem"] = problem;
  object["mac_addresses"] = macs;
  object["system_uuid"] = machine != nullptr ? text_or_null(machine->uuid) : nullptr;
  object["serial_number"] = machine != nullptr ? text_or_null(machine->serial) : nullptr;
  object["server_name"] = machine != nullptr ? text_or_null(machine->server_name) : nullptr;
  object["asked"] = time_or_null(state.asked);
  object["answered"] = state.answered == 0 ? json::value(nullptr) : json::value(state.answered);
  return with_member(object, "deployment", state.last ? deployment_document(*state.last) : "null");
}

std::string os_images_document(const Site& site) {
  json::array images;
  for (const OsImage& image : site.images) {
    json::array rules;
    for (const AccessRule& rule : image.access.rules)
      rules.push_back({{"name", text_or_null(rule.name)},
                       {"verbs", texts(rule.verbs)},
                       {"subresources", texts(rule.subresources)},
                       {"users", texts(rule.users)},
                       {"teams", texts(rule.teams)}});
    json::object properties;
    for (const auto& property : image.properties)
      properties[utf8(property.name)] = utf8(redact_text(property.value));
    json::array machines;
    for (const auto& [machine, plan] : site.plans)
      if (plan.request && plan.request->os_image == image.name)
        machines.push_back(json::value(machine));
    images.push_back(
        {{"name", utf8(image.name)},
         {"display_name", text_or_null(image.display_name)},
         {"description", text_or_null(image.description)},
         {"url", text_or_null(redacted(image.url))},
         {"checksum", text_or_null(redact_text(image.checksum.value_or_url))},
         {"checksum_type",
          image.checksum.type ? json::value(name(*image.checksum.type)) : json::value(nullptr)},
         {"other_provider", text_or_null(image.other_provider)},
         {"owner",
          {{"user", text_or_null(image.access.owner_user)},
           {"team", text_or_null(image.access.owner_team)}}},
         {"access", rules},
         {"properties", properties},
         {"machines", machines}});
  }
  return json::serialize(json::object{{"osimages", images}});
}

std::string events_document(const std::vector<StoredEvent>& events, bool more) {
  std::string body = "{\"events\":[";
  for (const StoredEvent& event : events) {
    if (body.back() != '[') body += ',';
    body += event.body;
  }
  return body + fmt::format("],\"next\":{}}}", more && !events.empty()
                                                   ? fmt::format("{}", events.back().seq)
                                                   : "null");
}

}  // namespace ingot::agent
