#include "imaging/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <array>
#include <new>

namespace ingot::imaging {
namespace {

// The digests come from a library context of our own: the system's openssl.cnf may restrict the
// default one (FIPS: no md5), and what an image's publisher chose is not ours to restrict.
EVP_MD* algorithm(DigestType type) {
  struct Algorithms {
    OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
    OSSL_PROVIDER* provider = OSSL_PROVIDER_load(context, "default");
    std::array<EVP_MD*, 3> all{EVP_MD_fetch(context, "MD5", nullptr),
                               EVP_MD_fetch(context, "SHA2-256", nullptr),
                               EVP_MD_fetch(context, "SHA2-512", nullptr)};
  };
  static const Algorithms algorithms;  // until the process ends
  EVP_MD* md = algorithms.all[static_cast<std::size_t>(type)];
  if (md == nullptr) throw std::bad_alloc();  // the default provider has all of them
  return md;
}

}  // namespace

struct Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  DigestType type = DigestType::sha256;
  State() {
    if (context == nullptr) throw std::bad_alloc();
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Hasher::Hasher(DigestType type) : state_(std::make_unique<State>()) {
  state_->type = type;
  if (EVP_DigestInit_ex2(state_->context, algorithm(type), nullptr) != 1) throw std::bad_alloc();
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(std::span<const std::byte> data) {
  EVP_DigestUpdate(state_->context, data.data(), data.size());
}

Digest Hasher::snapshot() const {
  State copy;
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned length = 0;
  if (EVP_MD_CTX_copy_ex(copy.context, state_->context) != 1 ||
      EVP_DigestFinal_ex(copy.context, value.data(), &length) != 1)
    throw std::bad_alloc();
  Digest digest{state_->type, {}};
  for (unsigned i = 0; i < length; ++i) digest.hex += fmt::format("{:02x}", value[i]);
  return digest;
}

}  // namespace ingot::imaging
