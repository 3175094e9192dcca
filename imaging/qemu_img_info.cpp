#include "imaging/qemu_img_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "imaging/foreign_header.hpp"

namespace ingot::imaging {
namespace {

namespace json = boost::json;

tl::unexpected<Error> unsupported(std::string_view field, std::string_view why) {
  return fail(Errc::image_unsupported, fmt::format("qemu-img info: {}: {}", field, why));
}

tl::unexpected<Error> not_understood(std::string_view what) {
  return fail(Errc::image_convert,
              fmt::format("qemu-img info: its answer is not understood ({})", what));
}

Result<json::object> parse_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code error;
  auto value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) return not_understood("not a JSON object");
  return std::move(value.get_object());
}

bool is_true(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && !(value->is_bool() && !value->get_bool());
}

std::string_view text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string())
                                                : std::string_view{};
}

// qemu describes an extent by the file it is in; that must be the export the image is served by.
bool names_our_export(std::string_view filename) {
  constexpr std::string_view kPrefix = "json:";
  if (!filename.starts_with(kPrefix)) return false;
  const auto file = parse_object(filename.substr(kPrefix.size()));
  return file && text_of(*file, "driver") == "nbd" && text_of(*file, "export") == "source" &&
         text_of(*file, "server.type") == "fd";
}

// Fields that mean another file, at whatever level they appear.
Result<void> check_references(const json::object& object) {
  for (const std::string_view field :
       {"backing-filename", "full-backing-filename", "backing-filename-format", "backing-image",
        "data-file", "data-file-raw"})
    if (object.contains(field)) return unsupported(field, "the image needs another file");
  for (const std::string_view field : {"encrypted", "encrypt"})
    if (is_true(object, field)) return unsupported(field, "the image is encrypted");
  for (const std::string_view field : {"dirty-flag", "corrupt"})
    if (is_true(object, field))
      return fail(Errc::image_corrupt, fmt::format("qemu-img info: {} is set", field),
                  "check it where it was made: qemu-img check");
  return {};
}

Result<void> check_vmdk_specifics(const json::object& data) {
  const auto type = text_of(data, "create-type");
  if (type != "monolithicSparse" && type != "streamOptimized")
    return unsupported("create-type", fmt::format("\"{}\" is not one file", type));
  const auto* extents = data.if_contains("extents");
  if (extents == nullptr || !extents->is_array() || extents->get_array().size() != 1)
    return unsupported("extents", "not exactly one");
  const auto& extent = extents->get_array().front();
  if (!extent.is_object() || !names_our_export(text_of(extent.get_object(), "filename")))
    return unsupported("extents", "one is in another file");
  return {};
}

// Newer versions of qemu-img list what an image is made of: the one child is the file.
Result<void> check_children(const json::object& info) {
  const auto* children = info.if_contains("children");
  if (children == nullptr) return {};
  if (!children->is_array()) return not_understood("children");
  for (const auto& child : children->get_array())
    if (!child.is_object() || text_of(child.get_object(), "name") != "file")
      return unsupported("children", "the image is made of more than one file");
  return {};
}

}  // namespace

std::string_view qemu_driver(ImageFormat format) noexcept {
  return format == ImageFormat::vhd ? "vpc" : name(format);
}

Result<std::uint64_t> judge_qemu_info(std::string_view text, ImageFormat format) {
  INGOT_TRY_ASSIGN(const json::object info, parse_object(text));
  INGOT_TRY(check_references(info));
  INGOT_TRY(check_children(info));
  if (text_of(info, "format") != qemu_driver(format))
    return not_understood(fmt::format("format \"{}\"", text_of(info, "format")));

  const json::object nothing;
  const auto* specific = info.if_contains("format-specific");
  const auto* data = specific != nullptr && specific->is_object()
                         ? specific->get_object().if_contains("data")
                         : nullptr;
  const auto& details = data != nullptr && data->is_object() ? data->get_object() : nothing;
  INGOT_TRY(check_references(details));
  if (format == ImageFormat::vmdk) INGOT_TRY(check_vmdk_specifics(details));

  const auto* size = info.if_contains("virtual-size");
  boost::system::error_code error;
  const auto bytes =
      size != nullptr && size->is_number() ? size->to_number<std::uint64_t>(error) : 0;
  if (error || bytes == 0 || bytes > kMaxForeignSize)
    return fail(Errc::image_corrupt, "qemu-img info: virtual-size is missing or out of range");
  return bytes;
}

}  // namespace ingot::imaging
