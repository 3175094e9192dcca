#include "imaging/http_errors.hpp"

#include <fmt/format.h>

namespace ingot::imaging {
namespace {

std::string_view advice_for(int status) noexcept {
  switch (status) {
    case 401:
      return "the server wants credentials: give them in the URL or with the options; they are "
             "not sent on to another host after a redirect";
    case 403:
      return "the server refuses it; check the credentials, and whether a signed URL has expired";
    case 404:
    case 410:
      return "check the path of the URL";
    case 407:
      return "the proxy wants credentials: put them in the proxy's URL, or name the host in "
             "no_proxy";
    case 408:
    case 429:
      return "the server is busy; try again later, or name a mirror";
    default:
      return status >= 500 ? "the server has a problem; try again later, or name a mirror"
                           : "open the URL with a browser or curl to see what the server says";
  }
}

}  // namespace

TransferFailure status_failure(std::string_view what, const HttpHead& head) {
  const int status = head.status;
  const bool transient =
      status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
  TransferFailure failure{
      transient ? TransferFailure::Verdict::transient : TransferFailure::Verdict::mirror,
      Error(Errc::source_http_status, fmt::format("{}: the server answered {}", what, status),
            std::string(advice_for(status)))};
  if (transient) failure.retry_after = head.retry_after;
  return failure;
}

}  // namespace ingot::imaging
