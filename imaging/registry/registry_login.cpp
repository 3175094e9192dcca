#include "imaging/registry/registry_login.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <span>
#include <utility>

#include "disk/core/printable.hpp"
#include "imaging/registry/challenge.hpp"

namespace ingot::imaging {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxAnswer = 256 * 1024;  // bytes; tokens of some clouds have 10 KiB

std::string origin(const Url& url) {
  return fmt::format("{}://{}:{}", url.scheme, url.host, url.port);
}

// A token becomes a header's value.
bool can_be_sent(std::string_view token) {
  return !token.empty() && std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
}

std::string token_in(std::string_view answer) {
  boost::system::error_code error;
  const auto value = json::parse(answer, error);
  if (error || !value.is_object()) return {};
  for (const std::string_view key : {"token", "access_token"}) {
    const auto* token = value.get_object().if_contains(key);
    if (token != nullptr && token->is_string()) return std::string(token->get_string());
  }
  return {};
}

}  // namespace

RegistryLogin::RegistryLogin(TransferOptions transfer) : transfer_(std::move(transfer)) {}

void RegistryLogin::serve(const Url& registry) {
  const std::lock_guard lock(mutex_);
  // Some registries answer credentials that are no token with 400, so they are asked first.
  known_.try_emplace(origin(registry), "");
}

std::optional<std::string> RegistryLogin::authorization(const Url& home) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(origin(home));
  return found != known_.end() ? found->second : std::nullopt;
}

Result<bool> RegistryLogin::challenged(const Url& home, const std::vector<std::string>& challenges,
                                       const std::stop_token& stop) {
  {
    const std::lock_guard lock(mutex_);
    if (!known_.contains(origin(home))) return false;
  }
  bool basic = false;
  for (const auto& field : challenges)
    for (const auto& challenge : parse_challenges(field)) {
      basic = basic || challenge.scheme == "basic";
      if (challenge.scheme != "bearer" || !challenge.parameters.contains("realm")) continue;
      auto token = fetch_token(home, challenge.parameters, stop);
      if (!token)
        return tl::unexpected(
            token.error().with_context(fmt::format("asking for a token of {}", home.host)));
      const std::lock_guard lock(mutex_);
      known_.insert_or_assign(origin(home), "Bearer " + *token);
      return true;
    }
  const std::lock_guard lock(mutex_);
  auto& sent = known_[origin(home)];
  if (!basic || !sent) return false;  // those credentials are no good, or there are none
  sent.reset();
  return true;
}

Result<std::string> RegistryLogin::fetch_token(const Url& home,
                                               const std::map<std::string, std::string>& wanted,
                                               const std::stop_token& stop) const {
  const std::string& realm = wanted.at("realm");
  auto server = parse_url(realm);
  if (!server || server->scheme == "file" || (server->scheme == "http" && home.scheme != "http"))
    return fail(Errc::source_protocol,
                fmt::format("the registry sends its clients to \"{}\", which is no {} URL",
                            printable(std::as_bytes(std::span(realm)), 100), home.scheme),
                "check the token server's address in the registry's configuration");
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* name : {"service", "scope"})
    if (const auto found = wanted.find(name); found != wanted.end())
      query.emplace_back(name, found->second);
  INGOT_TRY_ASSIGN(const std::string url, with_query(server->text, query));

  TransferOptions transfer = transfer_;
  if (!home.user.empty() || !home.password.empty()) {
    transfer.user = home.user;
    transfer.password = home.password;
  }
  transfer.allow_file = false;
  INGOT_TRY_ASSIGN(const std::string answer, fetch_text(url, transfer, kMaxAnswer, stop));
  std::string token = token_in(answer);
  if (!can_be_sent(token))
    return fail(Errc::source_protocol, fmt::format("{} answers without a token", server->host),
                "check the token server's address in the registry's configuration");
  return token;
}

}  // namespace ingot::imaging
