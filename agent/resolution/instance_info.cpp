#include "agent/resolution/instance_info.hpp"

#include <fmt/format.h>

#include <utility>

#include "agent/resolution/properties.hpp"
#include "agent/resolution/published_checksum.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

// The map that `text` holds. What it is called in messages: `what`, whose text is not shown.
Result<YamlNode> map_in(const std::string& text, std::string_view what) {
  auto parsed = parse_foreign_yaml(text);
  if (parsed && parsed->kind == YamlNode::Kind::map) return *std::move(parsed);
  return fail(Errc::usage_manifest,
              fmt::format("{}: Ironic takes a JSON object, and this is none", what),
              "docs/config-drive.md shows the form of network_data.json");
}

}  // namespace

Result<YamlNode> instance_info(const DeployRequest& request) {
  YamlNode all = make_map();
  YamlNode& info = put(all, "instance_info", make_map());
  put_text(info, "image_source", request.urls.front());
  if (!request.checksum.value_or_url.empty()) {
    const PublishedChecksum checksum = published(request.checksum);
    if (checksum.type && *checksum.type != DigestType::md5) {
      put_text(info, "image_os_hash_algo", name(*checksum.type));
      put_text(info, "image_os_hash_value", checksum.value_or_url);
    } else {
      put_text(info, "image_checksum", checksum.value_or_url);
    }
  }
  put_text(info, "image_disk_format", request.format);

  std::string hints = request.root_device_hints;
  if (hints.empty() && !request.device.empty()) {
    YamlNode named = make_map();
    put_text(named, "name", "s== " + request.device);
    hints = write_json(named, JsonForm::one_line);
  }
  if (!hints.empty()) {
    INGOT_TRY_ASSIGN(YamlNode root_device, map_in(hints, kRootDeviceHints));
    put(put(all, "properties", make_map()), "root_device", std::move(root_device));
  }

  YamlNode drive = make_map();
  if (!request.meta_data.empty()) {
    INGOT_TRY_ASSIGN(YamlNode meta_data, map_in(request.meta_data, "the meta data"));
    put(drive, "meta_data", std::move(meta_data));
  }
  if (!request.network_data.empty()) {
    INGOT_TRY_ASSIGN(YamlNode network, map_in(request.network_data, kNetworkData));
    put(drive, "network_data", std::move(network));
  }
  put_text(drive, "user_data", request.user_data);
  put_unless_empty(all, "configdrive", std::move(drive));
  return all;
}

}  // namespace ingot::agent
