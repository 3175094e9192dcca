#include "agent/http/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string>
#include <utility>

#include "disk/core/release.hpp"

namespace ingot::agent {
namespace {

// The ones that Ironic's agent offers: forward secrecy and authenticated encryption only.
constexpr auto kCipherSuites =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256";

using Bio = std::unique_ptr<BIO, Release<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;

// Without it OpenSSL asks for an encrypted key's passphrase at the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Bio text_source(const std::string& text) {
  return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The certificate itself, then those that vouch for it.
bool use_certificates(SSL_CTX* context, const std::string& pem) {
  const Bio source = text_source(pem);
  if (!source) return false;
  const Certificate own(::PEM_read_bio_X509_AUX(source.get(), nullptr, no_passphrase, nullptr));
  if (!own || ::SSL_CTX_use_certificate(context, own.get()) != 1) return false;
  while (X509* next = ::PEM_read_bio_X509(source.get(), nullptr, no_passphrase, nullptr))
    if (::SSL_CTX_add0_chain_cert(context, next) != 1) {
      ::X509_free(next);
      return false;
    }
  const bool at_end = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ::ERR_clear_error();
  return at_end;
}

bool use_key(SSL_CTX* context, const std::string& pem) {
  const Bio source = text_source(pem);
  if (!source) return false;
  const Key key(::PEM_read_bio_PrivateKey(source.get(), nullptr, no_passphrase, nullptr));
  return key && ::SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

// Not what OpenSSL says: its texts may quote what it read.
tl::unexpected<Error> wrong(std::string message) {
  ::ERR_clear_error();
  return fail(Errc::usage_option, std::move(message));
}

}  // namespace

Result<std::shared_ptr<ssl_ctx_st>> make_tls_context(const TlsServerOptions& options) {
  int version = 0;
  if (options.min_version == "1.2")
    version = TLS1_2_VERSION;
  else if (options.min_version == "1.3")
    version = TLS1_3_VERSION;
  else
    return wrong("TLS: the least version '" + options.min_version + "' is neither 1.2 nor 1.3");

  std::shared_ptr<SSL_CTX> context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
  if (!context || ::SSL_CTX_set_min_proto_version(context.get(), version) != 1) {
    ::ERR_clear_error();
    return fail(Errc::internal_bug, "TLS: OpenSSL cannot serve");
  }
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Few connections, hours apart: what a resumption saves is not worth the memory.
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context.get(), 0);
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);

  const std::string& suites = options.cipher_suites;
  if (::SSL_CTX_set_cipher_list(context.get(), suites.empty() ? kCipherSuites : suites.c_str()) !=
      1)
    return wrong("TLS: no cipher suite is known in the list '" + suites + "'");
  if (!use_certificates(context.get(), options.certificate))
    return wrong("TLS: the server's certificate is no PEM certificate that can be used");
  // Compares the key with the certificate as well.
  if (!use_key(context.get(), options.private_key) ||
      ::SSL_CTX_check_private_key(context.get()) != 1)
    return wrong(
        "TLS: the server's key is no unencrypted PEM key, or does not belong to its certificate");
  return context;
}

}  // namespace ingot::agent
