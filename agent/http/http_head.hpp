/// What goes before the body of an answer.
#pragma once

#include <string>

#include "agent/http/http_server.hpp"

namespace ingot::agent {

/// What becomes of the connection after the answer.
struct HttpConnectionFate {
  bool close = false;
  bool http10 = false;  ///< the request was HTTP/1.0, where keeping it must be said
};

/// Status line and fields of `answer`, with the empty line. A field whose value holds control
/// characters is left out: it may come from the request, and must not add fields of its own.
[[nodiscard]] std::string http_head(const HttpAnswer& answer, HttpConnectionFate fate);

}  // namespace ingot::agent
