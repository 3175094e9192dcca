/// Error, its stable codes and classes, and Result<T>: how every fallible function here reports.
///
/// A code never changes its name or its class once released; docs/errors.md lists them. The class
/// decides the exit code of the command line (docs/errors.md has that table as well).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace ingot {

/// What kind of thing went wrong; decides the exit code and the `class` field of events.
enum class ErrorClass {
  internal,
  usage,
  source,
  checksum,
  image,
  device,
  write,
  controller,
  access,
  cancelled,
};

/// The stable codes. The text form is the table in error.cpp, e.g. "source.http-status".
enum class Errc {
  internal_bug,
  usage_option,
  usage_manifest,
  usage_checksum,
  usage_confirmation,
  usage_hints,
  usage_config_drive,
  source_unreachable,
  source_tls,
  source_http_status,
  source_timeout,
  source_truncated,
  source_changed,
  source_redirect,
  source_protocol,
  source_file,
  source_deadline,
  checksum_mismatch,
  checksum_list,
  image_unrecognized,
  image_format_mismatch,
  image_corrupt,
  image_unsupported,
  image_truncated,
  image_too_large,
  image_not_streamable,
  image_compression,
  image_archive,
  image_convert,
  device_missing,
  device_unsuitable,
  device_in_use,
  device_mounted,
  device_swap,
  device_read_only,
  device_too_small,
  device_sector_size,
  device_changed,
  device_permission,
  device_running_system,
  device_no_match,
  device_no_room,
  device_unsupported,
  write_io,
  write_zero,
  write_flush,
  write_readback,
  write_scratch,
  write_erase,
  write_differs,
  write_boot_entry,
  controller_unreachable,
  controller_refused,
  access_denied,
  cancelled,
};

std::string_view name(Errc code) noexcept;
std::string_view name(ErrorClass cls) noexcept;
ErrorClass class_of(Errc code) noexcept;

/// Every code in declaration order, for documentation and tests.
const std::vector<Errc>& all_error_codes();

/// One failure: a stable code, a sentence for people, what to try, and the steps that led there.
///
/// Copies share one immutable record, so an Error is cheap to pass between threads. Messages never
/// hold secrets: URLs are redacted by whoever puts them in (url_text.hpp).
class Error {
 public:
  /// `message` says what was being done, to what, and what went wrong; `advice` what to try
  /// (may be empty). Neither ends in a newline.
  Error(Errc code, std::string message, std::string advice = {});

  [[nodiscard]] Errc code() const noexcept { return data_->code; }
  [[nodiscard]] ErrorClass cls() const noexcept { return class_of(data_->code); }
  [[nodiscard]] const std::string& advice() const noexcept { return data_->advice; }
  /// The sentence with its context: "writing /dev/sda: at byte 42: Input/output error".
  [[nodiscard]] std::string message() const;

  /// The same failure with one outer step of context in front ("resuming the download").
  [[nodiscard]] Error with_context(std::string context) const;

 private:
  struct Data {
    Errc code;
    std::string message;
    std::string advice;
    std::vector<std::string> context;  // innermost first
  };
  std::shared_ptr<const Data> data_;
};

/// A value or an Error. Becomes std::expected when C++23 is the floor.
template <class T>
using Result = tl::expected<T, Error>;

/// An Error made from `errno_value`: "<what>: <strerror>".
Error system_error(Errc code, std::string_view what, int errno_value, std::string advice = {});

/// The failing half of a Result, for `return fail(Errc::…, "…")`.
template <class... Args>
tl::unexpected<Error> fail(Args&&... args) {
  return tl::unexpected<Error>(Error(std::forward<Args>(args)...));
}

}  // namespace ingot

/// Returns the error of `expr` (a Result) from the enclosing function, or goes on.
#define INGOT_TRY(expr)                                                \
  do {                                                                 \
    if (auto ingot_try_result = (expr); !ingot_try_result)             \
      return tl::unexpected<::ingot::Error>(ingot_try_result.error()); \
  } while (false)

#define INGOT_TRY_CAT2(a, b) a##b
#define INGOT_TRY_CAT(a, b) INGOT_TRY_CAT2(a, b)
#define INGOT_TRY_ASSIGN_IMPL(tmp, decl, expr)                             \
  auto tmp = (expr);                                                       \
  if (!tmp) return tl::unexpected<::ingot::Error>(std::move(tmp).error()); \
  decl = *std::move(tmp)

/// `INGOT_TRY_ASSIGN(auto x, f())`: x is the value of f(), or its error is returned from here.
#define INGOT_TRY_ASSIGN(decl, expr) \
  INGOT_TRY_ASSIGN_IMPL(INGOT_TRY_CAT(ingot_try_, __LINE__), decl, expr)
