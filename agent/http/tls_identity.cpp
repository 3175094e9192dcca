#include "agent/http/tls_identity.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <ctime>
#include <memory>
#include <optional>

#include "disk/core/release.hpp"

namespace ingot::agent {
namespace {

constexpr long kClockSkew = 3600;               // seconds that the conductor's clock may be behind
constexpr long kLifetime = 30L * 24 * 60 * 60;  // seconds
constexpr long kLeastLeft = 3600;               // seconds that a certificate in use has left
constexpr int kSerialBits = 158;                // RFC 5280: at most 20 bytes, and positive
constexpr std::size_t kLongestName = 64;        // characters of a CN, RFC 5280 (ub-common-name)

using Bio = std::unique_ptr<BIO, Release<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Release<BN_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Release<GENERAL_NAMES_free>>;
using Octets = std::unique_ptr<ASN1_OCTET_STRING, Release<ASN1_OCTET_STRING_free>>;
using OneName = std::unique_ptr<GENERAL_NAME, Release<GENERAL_NAME_free>>;

// Without it OpenSSL asks for an encrypted key's passphrase at the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

// The 4 or 16 bytes of an IP address in network order.
std::optional<std::string> address_bytes(const std::string& host) {
  std::array<char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1)
    return std::string(bytes.data(), sizeof(in_addr));
  if (::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1)
    return std::string(bytes.data(), sizeof(in6_addr));
  return std::nullopt;
}

// A random positive number.
bool set_serial(X509* certificate) {
  const BigNumber number(::BN_new());
  return number && ::BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(certificate)) != nullptr;
}

// Subject and issuer. Whoever names hosts may use other bytes than a certificate may hold.
bool set_name(X509* certificate, std::string name) {
  name.resize(std::min(name.size(), kLongestName));
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7F; }, '?');
  X509_NAME* const subject = ::X509_get_subject_name(certificate);
  return ::X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(name.data()),
                                      static_cast<int>(name.size()), -1, 0) == 1 &&
         ::X509_set_issuer_name(certificate, subject) == 1;
}

// The address is all that the certificate vouches for: critical.
bool set_address(X509* certificate, const std::string& bytes) {
  Octets octets(::ASN1_OCTET_STRING_new());
  OneName name(::GENERAL_NAME_new());
  const Names names(::GENERAL_NAMES_new());
  if (!octets || !name || !names ||
      ::ASN1_OCTET_STRING_set(octets.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                              static_cast<int>(bytes.size())) != 1)
    return false;
  ::GENERAL_NAME_set0_value(name.get(), GEN_IPADD, octets.release());
  if (::sk_GENERAL_NAME_push(names.get(), name.get()) <= 0) return false;
  static_cast<void>(name.release());
  const Extension extension(::X509V3_EXT_i2d(NID_subject_alt_name, 1, names.get()));
  return extension && ::X509_add_ext(certificate, extension.get(), -1) == 1;
}

Certificate make_certificate(EVP_PKEY* key, const std::string& address, const std::string& name) {
  Certificate certificate(::X509_new());
  if (!certificate || ::X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get()) || !set_name(certificate.get(), name) ||
      ::X509_gmtime_adj(::X509_getm_notBefore(certificate.get()), -kClockSkew) == nullptr ||
      ::X509_gmtime_adj(::X509_getm_notAfter(certificate.get()), kLifetime) == nullptr ||
      ::X509_set_pubkey(certificate.get(), key) != 1 || !set_address(certificate.get(), address) ||
      ::X509_sign(certificate.get(), key, ::EVP_sha512()) == 0)
    return nullptr;
  return certificate;
}

// What was written to `sink`; its memory is overwritten.
std::string taken_from(BIO* sink) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(sink, &data);
  std::string text(data, size > 0 ? static_cast<std::size_t>(size) : 0);
  if (size > 0) ::OPENSSL_cleanse(data, static_cast<std::size_t>(size));
  return text;
}

tl::unexpected<Error> broken(const char* what) {
  const char* const reason = ::ERR_reason_error_string(::ERR_get_error());
  ::ERR_clear_error();
  return fail(Errc::internal_bug, std::string("making the agent's TLS identity: ") + what + ": " +
                                      (reason != nullptr ? reason : "OpenSSL gave no reason"));
}

Bio text_source(const std::string& text) {
  return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

}  // namespace

Result<TlsIdentity> make_tls_identity(const std::string& host, const std::string& common_name) {
  const auto address = address_bytes(host);
  if (!address)
    return fail(Errc::usage_option, "a TLS certificate for '" + host + "': this is no IP address");

  const Key key(::EVP_EC_gen("P-384"));
  if (!key) return broken("the key");
  const Certificate certificate =
      make_certificate(key.get(), *address, common_name.empty() ? host : common_name);
  if (!certificate) return broken("the certificate");

  const Bio key_sink(::BIO_new(::BIO_s_mem()));
  const Bio certificate_sink(::BIO_new(::BIO_s_mem()));
  if (!key_sink || !certificate_sink ||
      ::PEM_write_bio_PKCS8PrivateKey(key_sink.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                      nullptr) != 1 ||
      ::PEM_write_bio_X509(certificate_sink.get(), certificate.get()) != 1)
    return broken("the PEM texts");
  return TlsIdentity{.private_key = taken_from(key_sink.get()),
                     .certificate = taken_from(certificate_sink.get())};
}

bool suits(const TlsIdentity& identity, const std::string& host) {
  const auto address = address_bytes(host);
  const Bio certificate_source = text_source(identity.certificate);
  const Bio key_source = text_source(identity.private_key);
  if (!address || !certificate_source || !key_source) return false;
  const Certificate certificate(
      ::PEM_read_bio_X509(certificate_source.get(), nullptr, no_passphrase, nullptr));
  const Key key(::PEM_read_bio_PrivateKey(key_source.get(), nullptr, no_passphrase, nullptr));
  std::time_t soon = std::time(nullptr) + kLeastLeft;
  const bool good =
      certificate && key && ::X509_check_private_key(certificate.get(), key.get()) == 1 &&
      ::X509_check_ip(certificate.get(), reinterpret_cast<const unsigned char*>(address->data()),
                      address->size(), 0) == 1 &&
      ::X509_cmp_current_time(::X509_get0_notBefore(certificate.get())) < 0 &&
      ::X509_cmp_time(::X509_get0_notAfter(certificate.get()), &soon) > 0;
  ::ERR_clear_error();
  return good;
}

}  // namespace ingot::agent
