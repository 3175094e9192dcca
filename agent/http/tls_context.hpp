/// The TLS side of an HttpServer: its certificate and its policy.
#pragma once

#include <memory>

#include "agent/http/http_server.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace ingot::agent {

/// What `options` say, without compression, renegotiation and session resumption.
/// Errors: usage.option when certificate or key cannot be used or do not belong together, for an
/// unknown version and for a cipher list that names none.
Result<std::shared_ptr<ssl_ctx_st>> make_tls_context(const TlsServerOptions& options);

}  // namespace ingot::agent
