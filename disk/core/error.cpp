#include "disk/core/error.hpp"

#include <array>
#include <system_error>

namespace ingot {
namespace {

struct CodeInfo {
  Errc code;
  ErrorClass cls;
  std::string_view name;
};

constexpr std::array kCodes = {
    CodeInfo{Errc::internal_bug, ErrorClass::internal, "internal.bug"},
    CodeInfo{Errc::usage_option, ErrorClass::usage, "usage.option"},
    CodeInfo{Errc::usage_manifest, ErrorClass::usage, "usage.manifest"},
    CodeInfo{Errc::usage_checksum, ErrorClass::usage, "usage.checksum"},
    CodeInfo{Errc::usage_confirmation, ErrorClass::usage, "usage.confirmation"},
    CodeInfo{Errc::usage_hints, ErrorClass::usage, "usage.hints"},
    CodeInfo{Errc::usage_config_drive, ErrorClass::usage, "usage.config-drive"},
    CodeInfo{Errc::source_unreachable, ErrorClass::source, "source.unreachable"},
    CodeInfo{Errc::source_tls, ErrorClass::source, "source.tls"},
    CodeInfo{Errc::source_http_status, ErrorClass::source, "source.http-status"},
    CodeInfo{Errc::source_timeout, ErrorClass::source, "source.timeout"},
    CodeInfo{Errc::source_truncated, ErrorClass::source, "source.truncated"},
    CodeInfo{Errc::source_changed, ErrorClass::source, "source.changed"},
    CodeInfo{Errc::source_redirect, ErrorClass::source, "source.redirect"},
    CodeInfo{Errc::source_protocol, ErrorClass::source, "source.protocol"},
    CodeInfo{Errc::source_file, ErrorClass::source, "source.file"},
    CodeInfo{Errc::source_deadline, ErrorClass::source, "source.deadline"},
    CodeInfo{Errc::checksum_mismatch, ErrorClass::checksum, "checksum.mismatch"},
    CodeInfo{Errc::checksum_list, ErrorClass::checksum, "checksum.list"},
    CodeInfo{Errc::image_unrecognized, ErrorClass::image, "image.unrecognized"},
    CodeInfo{Errc::image_format_mismatch, ErrorClass::image, "image.format-mismatch"},
    CodeInfo{Errc::image_corrupt, ErrorClass::image, "image.corrupt"},
    CodeInfo{Errc::image_unsupported, ErrorClass::image, "image.unsupported"},
    CodeInfo{Errc::image_truncated, ErrorClass::image, "image.truncated"},
    CodeInfo{Errc::image_too_large, ErrorClass::image, "image.too-large"},
    CodeInfo{Errc::image_not_streamable, ErrorClass::image, "image.not-streamable"},
    CodeInfo{Errc::image_compression, ErrorClass::image, "image.compression"},
    CodeInfo{Errc::image_archive, ErrorClass::image, "image.archive"},
    CodeInfo{Errc::image_convert, ErrorClass::image, "image.convert"},
    CodeInfo{Errc::device_missing, ErrorClass::device, "device.missing"},
    CodeInfo{Errc::device_unsuitable, ErrorClass::device, "device.unsuitable"},
    CodeInfo{Errc::device_in_use, ErrorClass::device, "device.in-use"},
    CodeInfo{Errc::device_mounted, ErrorClass::device, "device.mounted"},
    CodeInfo{Errc::device_swap, ErrorClass::device, "device.swap"},
    CodeInfo{Errc::device_read_only, ErrorClass::device, "device.read-only"},
    CodeInfo{Errc::device_too_small, ErrorClass::device, "device.too-small"},
    CodeInfo{Errc::device_sector_size, ErrorClass::device, "device.sector-size"},
    CodeInfo{Errc::device_changed, ErrorClass::device, "device.changed"},
    CodeInfo{Errc::device_permission, ErrorClass::device, "device.permission"},
    CodeInfo{Errc::device_running_system, ErrorClass::device, "device.running-system"},
    CodeInfo{Errc::device_no_match, ErrorClass::device, "device.no-match"},
    CodeInfo{Errc::device_no_room, ErrorClass::device, "device.no-room"},
    CodeInfo{Errc::device_unsupported, ErrorClass::device, "device.unsupported"},
    CodeInfo{Errc::write_io, ErrorClass::write, "write.io"},
    CodeInfo{Errc::write_zero, ErrorClass::write, "write.zero"},
    CodeInfo{Errc::write_flush, ErrorClass::write, "write.flush"},
    CodeInfo{Errc::write_readback, ErrorClass::write, "write.readback"},
    CodeInfo{Errc::write_scratch, ErrorClass::write, "write.scratch"},
    CodeInfo{Errc::write_erase, ErrorClass::write, "write.erase"},
    CodeInfo{Errc::write_differs, ErrorClass::write, "write.differs"},
    CodeInfo{Errc::write_boot_entry, ErrorClass::write, "write.boot-entry"},
    CodeInfo{Errc::controller_unreachable, ErrorClass::controller, "controller.unreachable"},
    CodeInfo{Errc::controller_refused, ErrorClass::controller, "controller.refused"},
    CodeInfo{Errc::access_denied, ErrorClass::access, "access.denied"},
    CodeInfo{Errc::cancelled, ErrorClass::cancelled, "cancelled"},
};

// The table is indexed by the enumerator: a code added in one place only must not compile.
constexpr bool table_in_order() {
  for (std::size_t i = 0; i < kCodes.size(); ++i)
    if (static_cast<std::size_t>(kCodes[i].code) != i) return false;
  return kCodes.size() == static_cast<std::size_t>(Errc::cancelled) + 1;
}
static_assert(table_in_order());

const CodeInfo& info(Errc code) noexcept {
  return kCodes[static_cast<std::size_t>(code)];
}

}  // namespace

std::string_view name(Errc code) noexcept {
  return info(code).name;
}
ErrorClass class_of(Errc code) noexcept {
  return info(code).cls;
}

std::string_view name(ErrorClass cls) noexcept {
  switch (cls) {
    case ErrorClass::internal:
      return "internal";
    case ErrorClass::usage:
      return "usage";
    case ErrorClass::source:
      return "source";
    case ErrorClass::checksum:
      return "checksum";
    case ErrorClass::image:
      return "image";
    case ErrorClass::device:
      return "device";
    case ErrorClass::write:
      return "write";
    case ErrorClass::controller:
      return "controller";
    case ErrorClass::access:
      return "access";
    case ErrorClass::cancelled:
      return "cancelled";
  }
  return "internal";
}

const std::vector<Errc>& all_error_codes() {
  static const std::vector<Errc> codes = [] {
    std::vector<Errc> all;
    for (const auto& entry : kCodes) all.push_back(entry.code);
    return all;
  }();
  return codes;
}

Error::Error(Errc code, std::string message, std::string advice)
    : data_(std::make_shared<const Data>(Data{code, std::move(message), std::move(advice), {}})) {}

std::string Error::message() const {
  std::string text;
  for (auto step = data_->context.rbegin(); step != data_->context.rend(); ++step)
    text += *step + ": ";
  return text + data_->message;
}

Error Error::with_context(std::string context) const {
  Error outer = *this;
  Data copy = *data_;
  copy.context.push_back(std::move(context));
  outer.data_ = std::make_shared<const Data>(std::move(copy));
  return outer;
}

Error system_error(Errc code, std::string_view what, int errno_value, std::string advice) {
  return Error(code, std::string(what) + ": " + std::generic_category().message(errno_value),
               std::move(advice));
}

}  // namespace ingot
