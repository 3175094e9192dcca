/// RegistryLogin: the token that a registry wants, fetched from where the registry says.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "imaging/http_login.hpp"
#include "imaging/source.hpp"

namespace ingot::imaging {

/// Token authentication of the Distribution project (GET of the challenge's realm, with service
/// and scope), and basic authorization where the registry asks for that. Credentials are those of
/// the reference's userinfo, else of the options; without any the token is an anonymous one. A
/// token that has run out is challenged again, and so renewed in the middle of a transfer.
///
/// Credentials go to the realm that the registry names, as the protocol has it, but never over
/// http for a registry that is asked over https.
class RegistryLogin final : public HttpLogin {
 public:
  /// `transfer` is how token servers are reached, with the credentials for them.
  explicit RegistryLogin(TransferOptions transfer);

  void serve(const Url& registry) override;
  std::optional<std::string> authorization(const Url& home) override;
  Result<bool> challenged(const Url& home, const std::vector<std::string>& challenges,
                          const std::stop_token& stop) override;

 private:
  Result<std::string> fetch_token(const Url& home, const std::map<std::string, std::string>& wanted,
                                  const std::stop_token& stop) const;

  const TransferOptions transfer_;
  std::mutex mutex_;
  // What is sent, by the registry's origin: "" until it asks; nothing: basic authorization.
  std::map<std::string, std::optional<std::string>> known_;
};

}  // namespace ingot::imaging
