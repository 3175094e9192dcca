#include "imaging/digest.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "imaging/printable.hpp"

namespace ingot::imaging {
namespace {

constexpr const char* kTypeAdvice = "give an md5 (32 hex digits), sha256 (64) or sha512 (128)";

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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string quoted(std::string_view text) {
  return '"' + printable(std::as_bytes(std::span(text)), 160) + '"';
}

}  // namespace

std::string_view name(DigestType type) noexcept {
  switch (type) {
    case DigestType::md5:
      return "md5";
    case DigestType::sha256:
      return "sha256";
    case DigestType::sha512:
      return "sha512";
  }
  return "sha256";
}

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

Result<Digest> parse_checksum(std::string_view text, std::optional<DigestType> declared) {
  const std::string hex = lower(trimmed(text));
  if (hex.empty()) return fail(Errc::usage_checksum, "the checksum is empty", kTypeAdvice);
  if (hex.find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} is not a hexadecimal number", quoted(hex)),
                "give the value alone, or the http, https or file URL of a checksum file");
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::usage_checksum, fmt::format("the checksum {} {}", quoted(hex), why),
                kTypeAdvice);
  };
  Digest digest{DigestType::sha256, hex};
  switch (hex.size()) {
    case 32:
      digest.type = DigestType::md5;
      break;
    case 64:
      digest.type = DigestType::sha256;
      break;
    case 128:
      digest.type = DigestType::sha512;
      break;
    case 40:
      return refuse("has sha1's length (40 digits), and sha1 is not supported");
    case 56:
      return refuse("has sha224's length (56 digits), and sha224 is not supported");
    case 96:
      return refuse("has sha384's length (96 digits), and sha384 is not supported");
    default:
      return refuse(fmt::format("has {} digits, which no supported type has", hex.size()));
  }
  if (declared && *declared != digest.type)
    return fail(Errc::usage_checksum,
                fmt::format("the checksum {} has {}'s length ({} digits) but its type was given "
                            "as {}",
                            quoted(hex), name(digest.type), hex.size(), name(*declared)),
                "correct the type, or leave it to be found by length (auto)");
  return digest;
}

Result<std::optional<DigestType>> parse_digest_type(std::string_view text) {
  const std::string type = lower(trimmed(text));
  if (type.empty() || type == "auto") return std::optional<DigestType>();
  for (const auto known : {DigestType::md5, DigestType::sha256, DigestType::sha512})
    if (type == name(known)) return std::optional(known);
  return fail(Errc::usage_checksum,
              fmt::format("the checksum type {} is not supported", quoted(type)),
              "use md5, sha256, sha512 or auto");
}

bool is_checksum_url(std::string_view value) noexcept {
  value = trimmed(value);
  for (const std::string_view scheme : {"http://", "https://", "file://"}) {
    if (value.size() <= scheme.size()) continue;
    if (std::equal(scheme.begin(), scheme.end(), value.begin(), [](char want, char have) {
          return want == have || (have >= 'A' && have <= 'Z' && want == have - 'A' + 'a');
        }))
      return true;
  }
  return false;
}

}  // namespace ingot::imaging
