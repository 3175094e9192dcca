/// Tokens: who may report for a machine, and who may look and order.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Bearer tokens (RFC 6750) from files that their owner alone can read. Immutable.
///
/// Compared by their SHA-256 digests in constant time: how long it takes tells nothing of them.
class Tokens {
 public:
  /// Everybody may do everything.
  Tokens() = default;

  /// `machine_file`: lines "NAME TOKEN" (empty ones and those with '#' first are passed over), one
  /// a machine; `page_file`: the page's token on its first line. "": there is no such file.
  ///
  /// Errors: usage.option naming option, file and line, never a token: unreadable, readable by
  /// others, a token of less than 16 or with other characters than a bearer token has, a name
  /// or a token twice.
  static Result<Tokens> load(const std::string& machine_file, const std::string& page_file);

  [[nodiscard]] bool asks_machines() const noexcept { return machines_.has_value(); }
  [[nodiscard]] bool asks_page() const noexcept { return page_.has_value(); }

  /// Whether `authorization`, a field as it was sent, has that machine's token; true if machines
  /// need none.
  [[nodiscard]] bool is_machines(std::string_view authorization, const std::string& machine) const;
  /// Whether it has any machine's; true if machines need none.
  [[nodiscard]] bool is_some_machines(std::string_view authorization) const;
  /// Whether it has the page's; true if the page needs none.
  [[nodiscard]] bool is_pages(std::string_view authorization) const;

  /// The machine's token, or "": what it is told to report with. A secret.
  [[nodiscard]] std::string machine_token(const std::string& machine) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Token {
    std::string text;
    Digest digest{};
  };
  static Digest digest_of(std::string_view token);
  static bool equal(std::string_view authorization, const Digest& expected);

  std::optional<std::map<std::string, Token>> machines_;
  std::optional<Digest> page_;
};

/// SHA-256 in hexadecimal.
[[nodiscard]] std::string sha256_hex(std::string_view text);

}  // namespace ingot::agent
