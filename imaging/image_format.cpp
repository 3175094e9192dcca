#include "imaging/image_format.hpp"

#include <array>

namespace ingot::imaging {
namespace {

struct Entry {
  ImageFormat format;
  std::string_view text;
};
constexpr std::array kFormats = {
    Entry{ImageFormat::raw, "raw"},   Entry{ImageFormat::qcow2, "qcow2"},
    Entry{ImageFormat::vmdk, "vmdk"}, Entry{ImageFormat::vhd, "vhd"},
    Entry{ImageFormat::vhdx, "vhdx"}, Entry{ImageFormat::vdi, "vdi"},
};

}  // namespace

std::string_view name(ImageFormat format) noexcept {
  for (const auto& entry : kFormats)
    if (entry.format == format) return entry.text;
  return "raw";
}

std::optional<ImageFormat> image_format_from(std::string_view text) noexcept {
  for (const auto& entry : kFormats)
    if (entry.text == text) return entry.format;
  return std::nullopt;
}

}  // namespace ingot::imaging
