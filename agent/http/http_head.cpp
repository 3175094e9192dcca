#include "agent/http/http_head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <string_view>

namespace ingot::agent {
namespace {

std::string field(std::string_view name, const std::string& value) {
  const bool printable = std::all_of(value.begin(), value.end(),
                                     [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
  return value.empty() || !printable ? std::string() : fmt::format("{}: {}\r\n", name, value);
}

}  // namespace

std::string http_head(const HttpAnswer& answer, HttpConnectionFate fate) {
  namespace http = boost::beast::http;
  const auto reason = http::obsolete_reason(static_cast<http::status>(answer.status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", answer.status,
                                 std::string_view(reason.data(), reason.size()));
  if (answer.status != 204) head += field("Content-Type", answer.content_type);
  // The end of a body that goes on is the connection's.
  if (answer.status != 204 && !answer.more)
    head += fmt::format("Content-Length: {}\r\n", answer.body.size());
  head += field("Location", answer.location);
  head += field("Allow", answer.allow);
  for (const auto& [name, value] : answer.fields) head += field(name, value);
  if (fate.close)
    head += "Connection: close\r\n";
  else if (fate.http10)
    head += "Connection: keep-alive\r\n";
  return head + "\r\n";
}

}  // namespace ingot::agent
