#include "agent/ironic/base64.hpp"

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

}  // namespace ingot::agent
