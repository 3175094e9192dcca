/// TransferFailure: why one attempt at a transfer ended, and what that means for the next one.
#pragma once

#include <chrono>
#include <optional>
#include <tl/expected.hpp>
#include <utility>

#include "disk/core/error.hpp"

namespace ingot::imaging {

struct TransferFailure {
  enum class Verdict {
    transient,  ///< worth another attempt, here or elsewhere
    mirror,     ///< this mirror will never do; another may
    final,      ///< nothing is worth another attempt (cancelled)
  };
  Verdict verdict = Verdict::transient;
  Error error;
  /// How long the server asked to be left alone.
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
  /// A name server says that the server's name does not exist (transient: the network may be just
  /// coming up).
  bool no_such_name = false;
};

/// How an attempt, or a step of it, ended.
using Attempt = tl::expected<void, TransferFailure>;

inline tl::unexpected<TransferFailure> try_again(Error error) {
  return tl::unexpected(TransferFailure{TransferFailure::Verdict::transient, std::move(error)});
}
inline tl::unexpected<TransferFailure> give_up_mirror(Error error) {
  return tl::unexpected(TransferFailure{TransferFailure::Verdict::mirror, std::move(error)});
}
inline tl::unexpected<TransferFailure> give_up(Error error) {
  return tl::unexpected(TransferFailure{TransferFailure::Verdict::final, std::move(error)});
}

}  // namespace ingot::imaging
