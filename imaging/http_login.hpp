/// HttpLogin: credentials of servers that want them in a way of their own.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {

/// Asked by HttpClient where TransferOptions::login is set. From any thread. Holds secrets.
class HttpLogin {
 public:
  virtual ~HttpLogin() = default;
  /// Answers this server's challenges, from now on.
  virtual void serve(const Url& server) = 0;
  /// The Authorization of requests to `home`'s origin: a value, "" for none at all, nothing for
  /// what the URL and the options say.
  virtual std::optional<std::string> authorization(const Url& home) = 0;
  /// `home`'s origin answered 401 with these WWW-Authenticate fields. Whether to ask again, with
  /// what authorization() says now.
  virtual Result<bool> challenged(const Url& home, const std::vector<std::string>& challenges,
                                  const std::stop_token& stop) = 0;
};

}  // namespace ingot::imaging
