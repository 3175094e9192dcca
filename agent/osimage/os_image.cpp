#include "agent/osimage/os_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kKind = "OSImage";
constexpr std::string_view kImageType = "machines.vcluster.com/os-image-type";
constexpr std::string_view kProviders = ".vcluster.com/";

bool has_space(std::string_view text) {
  return text.find_first_of(" \t\r\n") != std::string_view::npos;
}

std::string property(std::string_view key) {
  return fmt::format("spec.properties[{}]", key);
}

Result<ChecksumRequest> read_checksum(
    const std::function<const std::string*(std::string_view)>& find, const RefuseProperty& refuse) {
  ChecksumRequest request;
  const std::string* const type = find(kImageChecksumType);
  if (type != nullptr) {
    const auto parsed = parse_digest_type(*type);
    if (type->empty() || !parsed)
      return refuse(kImageChecksumType,
                    fmt::format("'{}' is none of md5, sha256, sha512, auto", *type));
    request.type = *parsed;
  }
  const std::string* const value = find(kImageChecksum);
  if (value == nullptr) {
    if (type != nullptr) return refuse(kImageChecksumType, "given without a checksum");
    return request;
  }
  if (value->empty()) return refuse(kImageChecksum, "empty");
  if (!is_checksum_url(*value)) {
    if (const auto digest = parse_checksum(*value, request.type); !digest)
      return refuse(kImageChecksum, digest.error().message());
  } else if (has_space(*value)) {
    return refuse(kImageChecksum, "white space in a URL");
  }
  request.value_or_url = *value;
  return request;
}

// Whose an image without a URL for Metal3 is; "": it is Metal3's, or nobody's.
std::string other_provider(const OsImage& image) {
  std::string other;
  for (const auto& [key, value, line] : image.properties) {
    if (key == kImageType && !value.empty() && value != "metal3" && value != "custom") return value;
    const std::size_t end = key.find(kProviders);
    const std::string provider = end == std::string::npos ? "" : key.substr(0, end);
    if (provider == "metal3") return "";
    if (provider != "machines" && other.empty()) other = provider;
  }
  return other;
}

void warn_of_unknown(const ManifestReader& reader, const YamlNode& spec,
                     const OnWarning& on_warning) {
  static constexpr std::string_view kKnown[] = {"displayName", "description", "properties", "owner",
                                                "access"};
  if (!on_warning) return;
  for (const auto& [key, value] : spec.members)
    if (std::ranges::find(kKnown, key) == std::end(kKnown))
      on_warning(reader.remark(value, "spec." + key, "unknown; passed over"));
}

// The one of several manifests that is an OSImage.
Result<const Manifest*> only_image(const std::vector<Manifest>& manifests) {
  const Manifest* image = nullptr;
  for (const Manifest& manifest : manifests) {
    if (manifest.kind != kKind) continue;
    if (image != nullptr)
      return ManifestReader(manifest).refuse(
          manifest.root, "metadata.name",
          fmt::format("'{}' is a second OSImage, in a second document or item; one is wanted",
                      manifest.name));
    image = &manifest;
  }
  return image != nullptr ? image : &manifests.front();
}

Result<OsImage> metal3_image(Result<std::vector<Manifest>> manifests, const OnWarning& on_warning) {
  if (!manifests) return tl::unexpected(std::move(manifests).error());
  INGOT_TRY_ASSIGN(const Manifest* manifest, only_image(*manifests));
  INGOT_TRY_ASSIGN(OsImage image, read_os_image(*manifest, on_warning));
  INGOT_TRY(must_serve_metal3(image));
  return image;
}

}  // namespace

Result<ImageSource> read_image_source(
    const std::function<const std::string*(std::string_view)>& find, const RefuseProperty& refuse) {
  ImageSource source;
  const std::string* const url = find(kImageUrl);
  if (url == nullptr) return refuse(kImageUrl, "missing");
  if (url->empty()) return refuse(kImageUrl, "empty");
  if (!is_image_url(*url) || has_space(*url))
    return refuse(kImageUrl, "not an http, https, file or oci URL");
  source.url = *url;
  INGOT_TRY_ASSIGN(source.checksum, read_checksum(find, refuse));
  return source;
}

Result<OsImage> read_os_image(const Manifest& manifest, const OnWarning& on_warning) {
  const ManifestReader reader(manifest);
  INGOT_TRY(reader.must_be(kKind));
  INGOT_TRY_ASSIGN(const YamlNode* spec, reader.map(manifest.root, "spec", "spec"));

  OsImage image;
  image.name = manifest.name;
  image.file = manifest.file;
  image.line = manifest.root.find("metadata")->find("name")->line;
  INGOT_TRY_ASSIGN(image.display_name,
                   reader.optional_text(*spec, "displayName", "spec.displayName"));
  INGOT_TRY_ASSIGN(image.description,
                   reader.optional_text(*spec, "description", "spec.description"));
  INGOT_TRY_ASSIGN(const YamlNode* properties, reader.map(*spec, "properties", "spec.properties"));
  for (const auto& [key, value] : properties->members) {
    INGOT_TRY(reader.must_be_string(value, property(key)));
    image.properties.push_back({key, value.text, value.line});
  }
  INGOT_TRY_ASSIGN(image.access, read_access(reader, *spec, on_warning));
  warn_of_unknown(reader, *spec, on_warning);

  if (properties->find(kImageUrl) == nullptr) image.other_provider = other_provider(image);
  if (!image.other_provider.empty()) return image;
  const auto find = [&](std::string_view key) -> const std::string* {
    const YamlNode* node = properties->find(key);
    return node != nullptr ? &node->text : nullptr;
  };
  const auto refuse = [&](std::string_view key, std::string_view why) {
    const YamlNode* node = properties->find(key);
    return reader.refuse(node != nullptr ? *node : *properties, property(key), why);
  };
  INGOT_TRY_ASSIGN(ImageSource source, read_image_source(find, refuse));
  image.url = std::move(source.url);
  image.checksum = std::move(source.checksum);
  return image;
}

Result<OsImage> parse_os_image(std::string_view text, std::string_view file,
                               const OnWarning& on_warning) {
  return metal3_image(parse_manifests(text, std::string(file)), on_warning);
}

Result<OsImage> load_os_image(const std::string& path, const OnWarning& on_warning) {
  return metal3_image(load_manifests(path), on_warning);
}

Result<void> must_serve_metal3(const OsImage& image) {
  if (image.other_provider.empty()) return {};
  return fail(Errc::usage_manifest,
              fmt::format("{}:{}: OSImage '{}': only the {} provider can use this image: it has no "
                          "{}",
                          image.file, image.line, image.name, image.other_provider, kImageUrl),
              "name an image for Metal3, or add Metal3's properties to this one");
}

}  // namespace ingot::agent
