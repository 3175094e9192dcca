#include "agent/report/result_spool.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "agent/text/json_object.hpp"
#include "agent/text/private_file.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "result-", kSuffix = ".json";
const std::string kDraft = std::string(kSuffix) + std::string(kDraftSuffix);
constexpr std::size_t kMostContent = 1UL << 20;

std::string file_of(const std::string& deploy_id) {
  return std::string(kPrefix) + deploy_id + std::string(kSuffix);
}

}  // namespace

// Oldest first.
std::vector<std::string> ResultSpool::files(std::string_view suffix) const {
  std::vector<std::pair<fs::file_time_type, std::string>> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    std::error_code gone;
    const auto time = entry->last_write_time(gone);
    if (!gone && name.starts_with(kPrefix) && name.ends_with(suffix))
      found.emplace_back(time, name);
  }
  std::ranges::sort(found);
  std::vector<std::string> names;
  for (auto& [time, name] : found) names.push_back(std::move(name));
  return names;
}

Result<void> ResultSpool::keep(const KeptResult& result) const {
  const std::string name = file_of(result.deploy_id);
  // A process that was killed while it wrote left a draft, under its own run's name.
  for (const std::string& draft : files(kDraft)) ::unlink((directory_ + "/" + draft).c_str());
  auto others = files(kSuffix);
  std::erase(others, name);
  for (std::size_t i = 0; i + kMostKept <= others.size(); ++i)
    ::unlink((directory_ + "/" + others[i]).c_str());
  return write_private_file(directory_, name,
                            json::serialize(json::object{{"deploy_id", result.deploy_id},
                                                         {"request", result.request},
                                                         {"device", utf8(result.device)},
                                                         {"succeeded", result.succeeded},
                                                         {"on_success", result.on_success},
                                                         {"report_url", result.report_url},
                                                         {"report_token", result.report_token},
                                                         {"cloud_event", result.cloud_event}}),
                            "make the directory writable for root, or give another --run-dir");
}

void ResultSpool::forget(const std::string& deploy_id) const {
  ::unlink((directory_ + "/" + file_of(deploy_id)).c_str());
}

std::vector<KeptResult> ResultSpool::kept() const {
  std::vector<KeptResult> results;
  for (const std::string& name : files(kSuffix)) {
    const auto parsed = parse_json_object(read_private_file(directory_ + "/" + name, kMostContent));
    if (!parsed) continue;
    KeptResult result;
    result.deploy_id = string_in(*parsed, "deploy_id");
    if (file_of(result.deploy_id) != name) continue;
    result.request = string_in(*parsed, "request");
    result.device = string_in(*parsed, "device");
    result.succeeded = bool_in(*parsed, "succeeded").value_or(false);
    result.on_success = string_in(*parsed, "on_success");
    result.report_url = string_in(*parsed, "report_url");
    result.report_token = string_in(*parsed, "report_token");
    result.cloud_event = string_in(*parsed, "cloud_event");
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace ingot::agent
