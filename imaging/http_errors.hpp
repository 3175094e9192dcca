/// What an HTTP status means for a transfer, in words a person can act on.
#pragma once

#include <string_view>

#include "imaging/http_head.hpp"
#include "imaging/transfer_failure.hpp"

namespace ingot::imaging {

/// The failure that an answer with a status other than 200, 206 and 416 is. `what` names the
/// transfer ("fetching http://host/path"). 408, 429 and 5xx (but 501 and 505) are transient.
TransferFailure status_failure(std::string_view what, const HttpHead& head);

}  // namespace ingot::imaging
