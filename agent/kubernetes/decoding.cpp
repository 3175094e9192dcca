#include "agent/kubernetes/decoding.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

// The one manifest that an object is. It must not be a List, whose items would be several.
Result<Manifest> manifest_of(const ApiObject& object, const std::string& server,
                             std::string_view resource) {
  const std::string file =
      fmt::format("{} {}/{}", server, resource,
                  object.name.empty() ? "(without name)" : printable(utf8(object.name)));
  INGOT_TRY_ASSIGN(auto manifests, parse_manifests(object.json, file));
  if (manifests.size() != 1 || manifests.front().name != object.name)
    return fail(Errc::usage_manifest, fmt::format("{}: this is not one object", file));
  return std::move(manifests.front());
}

}  // namespace

bool is_object_name(std::string_view name) noexcept {
  constexpr std::size_t kLongest = 253;
  const auto inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, inner) &&
         name.front() != '-' && name.front() != '.' && name.back() != '-' && name.back() != '.';
}

Result<OsImage> decode_os_image(const ApiObject& object, const std::string& server,
                                const OnWarning& on_warning) {
  INGOT_TRY_ASSIGN(const Manifest manifest, manifest_of(object, server, kOsImageResource));
  return read_os_image(manifest, on_warning);
}

Result<SshKey> decode_ssh_key(const ApiObject& object, const std::string& server,
                              const OnWarning& on_warning) {
  INGOT_TRY_ASSIGN(const Manifest manifest, manifest_of(object, server, kSshKeyResource));
  return read_ssh_key(manifest, on_warning);
}

}  // namespace ingot::agent
