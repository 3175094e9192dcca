/// TlsIdentity: the agent's own key and certificate, by which the conductor knows it.
#pragma once

#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// PEM texts. The key is a secret.
struct TlsIdentity {
  std::string private_key;
  std::string certificate;
};

/// A new P-384 key and a self-signed certificate for `host`, an IP address without brackets: CN is
/// `common_name`, valid from an hour ago for 30 days, one critical subjectAltName, ECDSA with
/// SHA-512. (Ironic's agent makes the same; the conductor verifies the address against it.)
/// Errors: usage.option when `host` is no IP address; internal.bug when OpenSSL fails.
Result<TlsIdentity> make_tls_identity(const std::string& host, const std::string& common_name);

/// Whether the certificate is for `host` (an IP address), belongs to the key, and is valid for at
/// least another hour.
[[nodiscard]] bool suits(const TlsIdentity& identity, const std::string& host);

}  // namespace ingot::agent
