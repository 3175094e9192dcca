#include "agent/text/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace ingot::agent {

std::string to_base64(std::string_view bytes) {
  constexpr std::size_t kPiece = 3UL << 20;  // EVP_EncodeBlock counts in int; no padding inside
  std::string out;
  out.resize((bytes.size() + 2) / 3 * 4 + 1);  // it writes a NUL as well
  std::size_t written = 0;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, std::min(kPiece, bytes.size()));
    written += static_cast<std::size_t>(::EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(out.data() + written),
        reinterpret_cast<const unsigned char*>(piece.data()), static_cast<int>(piece.size())));
    bytes.remove_prefix(piece.size());
  }
  out.resize(written);
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::size_t kMost = 64UL << 10;
  if (text.empty() || text.size() % 4 != 0 || text.size() > kMost) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                       reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  // It counts the padding's bytes as well.
  bytes.resize(static_cast<std::size_t>(length) -
               static_cast<std::size_t>(std::ranges::count(text.substr(text.size() - 2), '=')));
  return bytes;
}

}  // namespace ingot::agent
