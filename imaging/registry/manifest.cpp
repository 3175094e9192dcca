#include "imaging/registry/manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "disk/core/lower_case.hpp"
#include "disk/core/printable.hpp"

namespace ingot::imaging {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxShown = 100;  // characters of a field in a message
constexpr std::size_t kMaxListed = 8;   // entries in a message
constexpr std::string_view kEmpty = "application/vnd.oci.empty.v1+json";

// Endings of file names and parts of media types that a disk image alone has.
constexpr std::array kImageNames{".qcow2", ".img", ".raw",  ".iso",
                                 ".vmdk",  ".vhd", ".vhdx", ".vdi"};
constexpr std::array kWrappings{".gz", ".xz", ".zst", ".bz2", ".lz4"};
constexpr std::array kImageTypes{"qcow2", "raw", "disk", "vmdk", "vhd", "x-iso"};

std::string shown(std::string_view text) {
  return printable(std::as_bytes(std::span(text)), kMaxShown);
}

tl::unexpected<Error> corrupt(std::string_view what) {
  return fail(Errc::image_corrupt, fmt::format("the manifest is not understood: {}", what),
              "check that the reference leads to an image or artifact of a registry");
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* object_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

Result<Descriptor> read_descriptor(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return corrupt("a descriptor is no object");
  Descriptor out;
  out.media_type = text_of(*object, "mediaType");
  const std::string digest = text_of(*object, "digest");
  const auto parsed = parse_checksum(digest, std::nullopt);
  if (!parsed || parsed->type == DigestType::md5 || digest.find(':') == std::string::npos)
    return fail(
        Errc::image_unsupported,
        fmt::format("the manifest's digest {} is neither sha256 nor sha512", shown(digest)));
  out.digest = *parsed;
  const auto* size = object->if_contains("size");
  boost::system::error_code error;
  const auto bytes =
      size != nullptr && size->is_number() ? size->to_number<std::int64_t>(error) : -1;
  if (error || bytes < 0) return corrupt("a descriptor's size is missing or out of range");
  out.size = static_cast<std::uint64_t>(bytes);
  out.platform.os.clear();
  if (const auto* platform = object_of(*object, "platform"); platform != nullptr) {
    out.platform = {text_of(*platform, "os"), text_of(*platform, "architecture"),
                    text_of(*platform, "variant")};
  }
  if (const auto* annotations = object_of(*object, "annotations"); annotations != nullptr) {
    out.title = text_of(*annotations, "org.opencontainers.image.title");
    out.disk_type = lower_case(text_of(*annotations, "disktype"));
  }
  return out;
}

bool is_disk_image(const Descriptor& layer) {
  std::string title = lower_case(layer.title);
  for (const std::string_view ending : kWrappings)
    if (title.ends_with(ending)) title.resize(title.size() - ending.size());
  const std::string type = lower_case(layer.media_type);
  const auto is_type = [&](std::string_view part) { return type.find(part) != std::string::npos; };
  return std::ranges::any_of(kImageNames,
                             [&](std::string_view end) { return title.ends_with(end); }) ||
         std::ranges::any_of(kImageTypes, is_type);
}

std::string text(const Platform& platform) {
  std::string out = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) out += "/" + platform.variant;
  return out;
}

// What there is to choose from, for a message.
template <class Describe>
std::string list(const std::vector<Descriptor>& entries, Describe describe) {
  std::vector<std::string> parts;
  for (const auto& entry : entries) {
    if (parts.size() == kMaxListed) {
      parts.push_back(fmt::format("{} more", entries.size() - kMaxListed));
      break;
    }
    parts.push_back(shown(describe(entry)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool serves(const Platform& has, const Platform& wanted) {
  return has.os == wanted.os && has.architecture == wanted.architecture &&
         (has.variant.empty() || wanted.variant.empty() || has.variant == wanted.variant);
}

// The only one that `is`, if there is exactly one.
template <class Is>
const Descriptor* only(const std::vector<Descriptor>& entries, Is is) {
  const auto found = std::ranges::find_if(entries, is);
  if (found == entries.end() || std::find_if(found + 1, entries.end(), is) != entries.end())
    return nullptr;
  return &*found;
}

}  // namespace

Platform this_platform() {
  Platform out;
#if defined(__x86_64__)
  out.architecture = "amd64";
#elif defined(__aarch64__)
  out.architecture = "arm64";
#elif defined(__arm__)
  out.architecture = "arm";
#elif defined(__i386__)
  out.architecture = "386";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  out.architecture = "ppc64le";
#elif defined(__riscv) && __riscv_xlen == 64
  out.architecture = "riscv64";
#elif defined(__s390x__)
  out.architecture = "s390x";
#elif defined(__loongarch64)
  out.architecture = "loong64";
#else
#error "which architecture is this in the OCI Image Specification's words?"
#endif
  return out;
}

Result<Platform> parse_platform(std::string_view given) {
  std::vector<std::string> parts;
  for (std::string_view rest = given;;) {
    const auto slash = rest.find('/');
    parts.emplace_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (parts.size() < 2 || parts.size() > 3 ||
      std::ranges::any_of(parts, [](const std::string& part) { return part.empty(); }))
    return fail(Errc::usage_option, fmt::format("the platform '{}' is not OS/ARCH", shown(given)),
                "write for instance linux/amd64, linux/arm64 or linux/arm/v7");
  return Platform{parts[0], parts[1], parts.size() == 3 ? parts[2] : ""};
}

Result<Manifest> parse_manifest(std::string_view text) {
  json::parse_options options;
  options.max_depth = 16;
  boost::system::error_code error;
  const auto value = json::parse(text, error, {}, options);
  if (error || !value.is_object()) return corrupt("not a JSON object");
  const json::object& object = value.get_object();
  const auto* version = object.if_contains("schemaVersion");
  if (version == nullptr || !version->is_int64()) return corrupt("it has no schemaVersion");
  if (version->get_int64() != 2)
    return fail(Errc::image_unsupported,
                fmt::format("the manifest has schemaVersion {}, and only 2 is supported",
                            version->get_int64()),
                "push the image again with a current client");
  const auto* manifests = object.if_contains("manifests");
  const auto* layers = object.if_contains("layers");
  // What is an index to one reader and a manifest to another is two images with one digest.
  if (manifests != nullptr && layers != nullptr) return corrupt("both an index and a manifest");
  const auto* entries = manifests != nullptr ? manifests : layers;
  if (entries == nullptr || !entries->is_array())
    return corrupt("it has neither layers nor manifests");
  Manifest out;
  out.is_index = manifests != nullptr;
  for (const auto& entry : entries->get_array()) {
    INGOT_TRY_ASSIGN(Descriptor descriptor, read_descriptor(entry));
    if (descriptor.media_type != kEmpty) out.entries.push_back(std::move(descriptor));
  }
  return out;
}

Result<Descriptor> choose_manifest(const Manifest& index, const Platform& wanted) {
  const auto& entries = index.entries;
  if (entries.size() == 1 && entries.front().platform.architecture.empty()) return entries.front();
  std::vector<Descriptor> fitting;
  std::ranges::copy_if(entries, std::back_inserter(fitting),
                       [&](const Descriptor& entry) { return serves(entry.platform, wanted); });
  if (fitting.size() == 1) return fitting.front();
  for (const std::string_view type : {"qcow2", "raw"})
    if (const auto* found =
            only(fitting, [&](const Descriptor& entry) { return entry.disk_type == type; }))
      return *found;
  if (fitting.empty())
    return fail(
        Errc::image_unsupported,
        fmt::format(
            "the index has nothing for {}; it has {}", text(wanted),
            entries.empty()
                ? "no manifests at all"
                : list(entries, [](const Descriptor& entry) { return text(entry.platform); })),
        "name a platform with --platform, or a manifest by its digest");
  return fail(Errc::image_unsupported,
              fmt::format("the index has {} manifests for {}: {}", fitting.size(), text(wanted),
                          list(fitting,
                               [](const Descriptor& entry) {
                                 return fmt::format("{}:{} {}", name(entry.digest.type),
                                                    entry.digest.hex.substr(0, 12),
                                                    entry.disk_type);
                               })),
              "name one of them by its digest");
}

Result<Descriptor> choose_layer(const Manifest& manifest) {
  const auto& layers = manifest.entries;
  if (layers.size() == 1) return layers.front();
  if (const auto* found = only(layers, is_disk_image)) return *found;
  for (const auto& layer : layers) {
    std::uint64_t left = layer.size;  // of it, once all others are taken off
    const bool largest = std::ranges::all_of(layers, [&](const Descriptor& other) {
      if (&other == &layer) return true;
      if (other.size >= left) return false;
      left -= other.size;
      return true;
    });
    if (largest) return layer;
  }
  return fail(Errc::image_unsupported,
              layers.empty()
                  ? std::string("the manifest has no layers")
                  : fmt::format("none of the manifest's {} layers is clearly the disk image: {}",
                                layers.size(),
                                list(layers,
                                     [](const Descriptor& layer) {
                                       return fmt::format("{} {} ({} bytes)", layer.media_type,
                                                          layer.title, layer.size);
                                     })),
              "push the disk image as the only layer of its artifact, or as a container disk");
}

}  // namespace ingot::imaging
