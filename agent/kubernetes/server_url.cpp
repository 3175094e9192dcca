#include "agent/kubernetes/server_url.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include "agent/http/url_reference.hpp"
#include "agent/text/text.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

bool is_loopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return host == "localhost" || host == "::1";
}

}  // namespace

Result<ServerUrl> parse_server_url(std::string_view text, std::string_view what) {
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::usage_option,
                fmt::format("{}: the API server's URL '{}': {}", what,
                            printable(utf8(redacted(text))), why),
                "it is the `server` of a kubeconfig, such as https://10.0.0.1:6443");
  };
  const auto parts = url_parts(std::string(text));
  // A backslash is a slash for some readers of URLs, and none for others.
  if (!parts || text.find('\\') != std::string_view::npos)
    return refuse("no http or https URL with a host, and a port from 1 to 65535 if any");
  if (parts->has_user)
    return refuse("credentials do not belong in it; they go into a kubeconfig, or --token-file");
  if (parts->has_query_or_fragment) return refuse("it has a query or a fragment");

  const bool v6 = parts->host.find(':') != std::string::npos;
  std::string_view path = parts->path;
  while (path.ends_with('/')) path.remove_suffix(1);
  return ServerUrl{.text = fmt::format("{}://{}{}{}:{}{}", parts->scheme, v6 ? "[" : "",
                                       parts->host, v6 ? "]" : "", parts->port, path),
                   .host = parts->host,
                   .https = parts->scheme == "https",
                   .loopback = is_loopback(parts->host)};
}

}  // namespace ingot::agent
