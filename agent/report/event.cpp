#include "agent/report/event.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <boost/json.hpp>
#include <cmath>
#include <ctime>
#include <random>

#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

json::value number_or_null(std::optional<std::uint64_t> value) {
  return value ? json::value(*value) : json::value(nullptr);
}

// A number with so many decimals, or null. (Boost.JSON writes 0.5 as 5E-1.)
std::string decimal(std::optional<double> value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "null";
}

// `more` is JSON text of further members, or "".
Event make(std::string type, const json::object& members, const std::string& more = {}) {
  std::string text = json::serialize(members);
  text = text.substr(1, text.size() - 2) + more;
  return {std::move(type), std::move(text), std::chrono::system_clock::now()};
}

json::value erased_object(const ErasedDisk& erased) {
  constexpr std::size_t kMostListed = 256;  // a hostile disk shows any number
  json::array signatures;
  for (const auto& signature : erased.signatures) {
    if (signatures.size() == kMostListed) break;
    signatures.push_back({{"offset", signature.offset},
                          {"type", utf8(signature.type)},
                          {"where", utf8(signature.where)}});
  }
  return {{"method", erased.method},
          {"how", erased.how.empty() ? json::value(nullptr) : json::value(utf8(erased.how))},
          {"partitions", erased.partitions},
          {"signatures_found", erased.signatures.size()},
          {"signatures", std::move(signatures)}};
}

}  // namespace

Event started_event(const JobStart& start) {
  json::object members = {{"image_url", nullptr}};
  if (!start.image_url.empty()) members["image_url"] = utf8(redacted(start.image_url));
  if (!start.erase_method.empty()) members["erase_method"] = start.erase_method;
  members["device"] = utf8(start.device);
  members["dry_run"] = start.dry_run;
  return make("started", members);
}

Event phase_event(Phase phase) {
  return make("phase", {{"phase", name(phase)}});
}

Event progress_event(const ProgressSnapshot& progress) {
  json::value eta(nullptr);
  if (progress.eta) eta = progress.eta->count();
  return make("progress",
              {{"phase", name(progress.phase)},
               {"bytes_received", progress.received},
               {"bytes_expected", number_or_null(progress.expected)},
               {"bytes_written", progress.written},
               {"bytes_zeroed", progress.zeroed},
               {"bytes_verified", progress.verified},
               {"virtual_size", number_or_null(progress.virtual_size)},
               {"receive_rate", std::llround(progress.receive_rate)},
               {"eta_seconds", eta}},
              ",\"percent\":" + decimal(progress.percent, 2));
}

Event retry_event(int attempt, std::string_view reason, std::uint64_t resume_offset) {
  return make("retry",
              {{"attempt", attempt}, {"reason", utf8(reason)}, {"resume_offset", resume_offset}});
}

Event note_event(std::string_view text) {
  return make("note", {{"text", utf8(text)}});
}

Event result_event(const JobResult& result) {
  json::value error(nullptr), digest(nullptr), format(nullptr), compression(nullptr);
  auto virtual_size = result.progress.virtual_size;
  if (result.error)
    error = {{"code", name(result.error->code())},
             {"class", name(result.error->cls())},
             {"message", utf8(result.error->message())},
             {"advice", utf8(result.error->advice())}};
  if (result.image) {
    digest = {{"type", name(result.image->digest.type)}, {"value", result.image->digest.hex}};
    format = result.image->format;
    compression = result.image->compression;
    virtual_size = result.image->virtual_size;
  }
  json::value table(nullptr), identifier(nullptr), drive(nullptr);
  if (const auto& finished = result.finished) {
    if (!finished->kind.empty()) table = finished->kind;
    if (!finished->identifier.empty()) identifier = utf8(finished->identifier);
    if (const auto& place = finished->config_drive)
      drive = {{"partition", place->partition}, {"offset", place->offset}, {"size", place->size}};
  }
  const json::value erased = result.erased ? erased_object(*result.erased) : json::value(nullptr);
  return make("result",
              {{"status", result.status()},
               {"error", error},
               {"digest", digest},
               {"verified", result.image && result.verified},
               {"image_format", format},
               {"compression", compression},
               {"virtual_size", number_or_null(virtual_size)},
               {"bytes_received", result.progress.received},
               {"bytes_written", result.progress.written},
               {"bytes_zeroed", result.progress.zeroed},
               {"bytes_verified", result.progress.verified},
               {"first_difference", number_or_null(result.first_difference)},
               {"disk_state", name(result.disk)},
               {"partition_table", table},
               {"disk_identifier", identifier},
               {"config_drive", drive},
               {"erased", erased},
               {"peak_rss", result.peak_rss}},
              ",\"seconds\":" + decimal(result.seconds, 3));
}

std::string random_uuid() {
  std::array<unsigned char, 16> bytes{};
  // At most 256 bytes are never interrupted, and only an old kernel early at boot has none.
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    std::random_device device;
    for (auto& byte : bytes) byte = static_cast<unsigned char>(device());
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const auto since = time.time_since_epoch();
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(since - whole).count();
  const std::time_t seconds = whole.count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

std::string to_json(const Event& event, std::uint64_t seq, std::string_view deploy_id) {
  return fmt::format(R"({{"event":"{}","seq":{},"time":"{}","deploy_id":"{}",{}}})", event.type,
                     seq, rfc3339(event.time), deploy_id, event.members);
}

std::string to_cloud_event(const Event& event, std::uint64_t seq, std::string_view deploy_id) {
  return fmt::format(
      R"({{"specversion":"1.0","type":"io.ingot.deploy.{}.v1","source":"urn:uuid:{}","id":"{}",)"
      R"("time":"{}","datacontenttype":"application/json","data":{}}})",
      event.type, deploy_id, seq, rfc3339(event.time), to_json(event, seq, deploy_id));
}

}  // namespace ingot::agent
