#include "agent/report/report_client.hpp"

#include <fmt/format.h>

#include <utility>

namespace ingot::agent {
namespace {

HttpClientOptions client_options(const ReportOptions& options) {
  HttpClientOptions made;
  made.ca_file = options.ca_file;
  made.tls_insecure = options.tls_insecure;
  made.proxy = options.proxy;
  made.no_proxy = options.no_proxy;
  made.timeout = options.request_timeout;
  return made;
}

}  // namespace

ReportClient::ReportClient(const ReportOptions& options, std::function<bool()> out_of_time)
    : client_(client_options(options)),
      exchange_{.url = options.url,
                .headers = {"Content-Type: application/cloudevents+json; charset=UTF-8"},
                .give_up = std::move(out_of_time)} {
  if (!options.token.empty()) exchange_.headers.push_back("Authorization: Bearer " + options.token);
}

ReportClient::Outcome ReportClient::post(const std::string& cloud_event) {
  exchange_.body = cloud_event;
  const auto reply = client_.exchange(exchange_, {});
  if (!reply) {
    // Ended by us for want of time: what failed before says more.
    if (!client_.last_problem().empty() || last_failure_.empty())
      last_failure_ =
          client_.last_problem().empty() ? reply.error().message() : client_.last_problem();
    return Outcome::failed;
  }
  if (reply->status >= 200 && reply->status < 300) return Outcome::delivered;
  last_failure_ = fmt::format("the server answered with status {}", reply->status);
  return is_temporary(reply->status) ? Outcome::failed : Outcome::refused;
}

}  // namespace ingot::agent
