#include "agent/controller/deploy_event.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "agent/text/json_object.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kLongestText = 4096;  // that is kept in memory of each machine
constexpr std::string_view kSource = "urn:uuid:";
constexpr std::string_view kTypeBegin = "io.ingot.deploy.", kTypeEnd = ".v1";

auto refuse(std::string_view attribute, std::string_view what) {
  return fail(Errc::usage_option, fmt::format("the CloudEvent's {}: {}", attribute, what),
              "send events as docs/events.md has them");
}

// Cut at the start of a character: what follows is UTF-8 still.
std::string text_in(const json::object& object, std::string_view name) {
  std::string text = string_in(object, name);
  if (text.size() <= kLongestText) return text;
  std::size_t end = kLongestText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "…";
}

std::optional<std::int64_t> count_in(const json::object& object, std::string_view name) {
  // What JavaScript can count to, and far from what sums of them can hold.
  constexpr std::int64_t kLargest = (1LL << 53) - 1;
  const auto number = integer_in(object, name);
  return number && *number >= 0 && *number <= kLargest ? number : std::nullopt;
}

std::optional<double> decimal_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_number()) return std::nullopt;
  json::error_code error;
  const auto number = value->to_number<double>(error);
  if (error || !std::isfinite(number) || number < 0) return std::nullopt;
  return number;
}

bool is_type(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || c == '-')) return false;
  return true;
}

// Digits as ingot writes them: no sign, no leading zero, and what JavaScript can count to.
std::optional<std::int64_t> seq_of(std::string_view text) {
  constexpr std::int64_t kLargest = (1LL << 53) - 1;
  std::int64_t seq = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seq);
  if (error != std::errc() || end != text.data() + text.size() || seq < 0 || seq > kLargest ||
      fmt::format("{}", seq) != text)
    return std::nullopt;
  return seq;
}

// "2026-01-31T23:59:59.123Z": as far as a reader can rely on it.
bool is_time(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kForm.size() || text.size() > 40) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return false;
  }
  return text.find_first_not_of("0123456789.:+-Zz", kForm.size()) == std::string_view::npos;
}

DeployProgress progress_of(const json::object& data) {
  return {.received = count_in(data, "bytes_received"),
          .expected = count_in(data, "bytes_expected"),
          .written = count_in(data, "bytes_written"),
          .zeroed = count_in(data, "bytes_zeroed"),
          .verified = count_in(data, "bytes_verified"),
          .virtual_size = count_in(data, "virtual_size"),
          .receive_rate = count_in(data, "receive_rate"),
          .eta_seconds = count_in(data, "eta_seconds"),
          .percent = decimal_in(data, "percent")};
}

Result<DeployResult> result_of(const json::object& data) {
  DeployResult result{.status = string_in(data, "status"),
                      .disk = text_in(data, "disk_state"),
                      .error_code = {},
                      .error_class = {},
                      .error_message = {},
                      .error_advice = {},
                      .digest = {},
                      .image_format = text_in(data, "image_format"),
                      .seconds = decimal_in(data, "seconds")};
  if (result.status != "succeeded" && result.status != "failed" && result.status != "cancelled")
    return refuse("data.status", "it is none of succeeded, failed, cancelled");
  if (const auto* error = object_in(data, "error")) {
    result.error_code = text_in(*error, "code");
    result.error_class = text_in(*error, "class");
    result.error_message = text_in(*error, "message");
    result.error_advice = text_in(*error, "advice");
  }
  if (const auto* digest = object_in(data, "digest"))
    result.digest = text_in(*digest, "type") + ":" + text_in(*digest, "value");
  return result;
}

}  // namespace

bool is_uuid(std::string_view text) noexcept {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = text[i];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

Result<DeployEvent> parse_cloud_event(std::string_view body) {
  const auto parsed = parse_json_object(body);
  if (!parsed) return refuse("body", "it is no JSON object");
  if (string_in(*parsed, "specversion") != "1.0") return refuse("specversion", "it is not \"1.0\"");

  DeployEvent event;
  const std::string type = string_in(*parsed, "type");
  if (type.size() > kTypeBegin.size() + kTypeEnd.size() && type.starts_with(kTypeBegin) &&
      type.ends_with(kTypeEnd))
    event.type = type.substr(kTypeBegin.size(), type.size() - kTypeBegin.size() - kTypeEnd.size());
  if (!is_type(event.type)) return refuse("type", "it is not io.ingot.deploy.TYPE.v1");
  const std::string source = string_in(*parsed, "source");
  if (source.starts_with(kSource)) event.deploy_id = source.substr(kSource.size());
  if (!is_uuid(event.deploy_id)) return refuse("source", "it is not urn:uuid: and a UUID");
  const auto seq = seq_of(string_in(*parsed, "id"));
  if (!seq) return refuse("id", "it is no number as a string (\"0\", \"1\", …)");
  event.seq = *seq;
  if (const auto* content = parsed->if_contains("datacontenttype");
      content != nullptr && string_in(*parsed, "datacontenttype") != "application/json")
    return refuse("datacontenttype", "it is not application/json");
  event.time = string_in(*parsed, "time");
  if (parsed->contains("time") && !is_time(event.time))
    return refuse("time", "it is no time of RFC 3339");

  const json::object* const data = object_in(*parsed, "data");
  if (data == nullptr) return refuse("data", "it is no JSON object");
  if (string_in(*data, "event") != event.type)
    return refuse("data.event", fmt::format("it is not \"{}\", as type says", event.type));
  if (string_in(*data, "deploy_id") != event.deploy_id)
    return refuse("data.deploy_id", "it is not the UUID of source");
  if (integer_in(*data, "seq") != event.seq)
    return refuse("data.seq", "it is not the number of id");

  if (event.type == "started") {
    event.image_url = text_in(*data, "image_url");
    event.device = text_in(*data, "device");
  } else if (event.type == "phase" || event.type == "progress") {
    event.phase = text_in(*data, "phase");
    if (event.type == "progress") event.progress = progress_of(*data);
  } else if (event.type == "retry") {
    event.reason = text_in(*data, "reason");
    event.attempt = count_in(*data, "attempt");
  } else if (event.type == "note") {
    event.note = text_in(*data, "text");
  } else if (event.type == "result") {
    INGOT_TRY_ASSIGN(event.result, result_of(*data));
  }
  return event;
}

bool same_json(const std::string& one, const std::string& other) {
  const auto first = parse_json_object(one);
  const auto second = parse_json_object(other);
  return first && second && *first == *second;
}

}  // namespace ingot::agent
