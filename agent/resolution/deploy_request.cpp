#include "agent/resolution/deploy_request.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "agent/osimage/os_image.hpp"
#include "agent/resolution/resolve.hpp"
#include "agent/text/yaml_document.hpp"
#include "agent/text/yaml_writer.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kKind = "DeployRequest";
constexpr const char* kAdvice = "docs/provisioning.md shows what a request looks like";
constexpr std::array kFormats = {"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"};
constexpr std::array kActions = {OnSuccess::reboot, OnSuccess::poweroff, OnSuccess::kexec,
                                 OnSuccess::none};

// JSON text as the tree that it is; text that is no object stays text.
YamlNode object_or_text(const std::string& text) {
  auto parsed = parse_yaml(text);
  if (parsed && parsed->kind == YamlNode::Kind::map) return *std::move(parsed);
  return make_string(text);
}

YamlNode texts(const std::vector<std::string>& values) {
  YamlNode list = make_sequence();
  for (const auto& value : values) list.items.push_back(make_string(value));
  return list;
}

bool has_space(std::string_view text) {
  return text.find_first_of(" \t\r\n") != std::string_view::npos;
}

// Reads a request strictly; values are never in its messages, since many are secrets.
class RequestReader {
 public:
  explicit RequestReader(const std::string& from) : from_(from) {}

  Result<DeployRequest> read(const YamlNode& root) {
    INGOT_TRY(known(root, "", {"apiVersion", "kind", "metadata", "spec"}));
    INGOT_TRY_ASSIGN(const std::string version, text(root, "apiVersion", "apiVersion"));
    if (version != kDeployRequestVersion)
      return refuse(root, "apiVersion",
                    fmt::format("'{}' is not {}", version, kDeployRequestVersion));
    DeployRequest request;
    INGOT_TRY_ASSIGN(const YamlNode* metadata, map(root, "metadata", "metadata"));
    if (metadata != nullptr) {
      INGOT_TRY(known(*metadata, "metadata", {"name", "labels", "annotations"}));
      INGOT_TRY_ASSIGN(request.machine, text(*metadata, "name", "metadata.name"));
    }
    INGOT_TRY_ASSIGN(const YamlNode* spec, map(root, "spec", "spec"));
    if (spec == nullptr) return refuse(root, "spec", "missing");
    INGOT_TRY(known(*spec, "spec",
                    {"osImage", "image", "target", "configDrive", "sshKeys", "dnsServers",
                     "serverName", "report", "onSuccess"}));
    INGOT_TRY_ASSIGN(request.os_image, text(*spec, "osImage", "spec.osImage"));
    INGOT_TRY(read_image(*spec, request));
    INGOT_TRY(read_target(*spec, request));
    INGOT_TRY(read_config_drive(*spec, request));
    INGOT_TRY_ASSIGN(request.ssh_keys, list(*spec, "sshKeys", "spec.sshKeys"));
    INGOT_TRY_ASSIGN(request.dns_servers, list(*spec, "dnsServers", "spec.dnsServers"));
    INGOT_TRY_ASSIGN(request.server_name, text(*spec, "serverName", "spec.serverName"));
    INGOT_TRY_ASSIGN(const YamlNode* report, map(*spec, "report", "spec.report"));
    if (report != nullptr) {
      INGOT_TRY(known(*report, "spec.report", {"url", "token"}));
      INGOT_TRY_ASSIGN(request.report_url, text(*report, "url", "spec.report.url"));
      INGOT_TRY_ASSIGN(request.report_token, text(*report, "token", "spec.report.token"));
      // It becomes part of a header, and a line end the next one.
      if (std::ranges::any_of(request.report_token,
                              [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        return refuse(*report->find("token"), "spec.report.token",
                      "a line end or another control character");
    }
    INGOT_TRY_ASSIGN(const std::string action, text(*spec, "onSuccess", "spec.onSuccess"));
    request.on_success = parse_on_success(action);
    if (!action.empty() && !request.on_success)
      return refuse(*spec->find("onSuccess"), "spec.onSuccess",
                    "none of reboot, poweroff, kexec, none");
    return request;
  }

  [[nodiscard]] tl::unexpected<Error> refuse(const YamlNode& node, std::string_view field,
                                             std::string_view why) const {
    return fail(Errc::usage_manifest, fmt::format("{}:{}: {}: {}", from_, node.line, field, why),
                kAdvice);
  }

 private:
  Result<void> read_image(const YamlNode& spec, DeployRequest& request) const {
    INGOT_TRY_ASSIGN(const YamlNode* image, map(spec, "image", "spec.image"));
    if (image == nullptr) return refuse(spec, "spec.image", "missing");
    INGOT_TRY(known(*image, "spec.image", {"urls", "checksum", "checksumType", "format"}));
    INGOT_TRY_ASSIGN(request.urls, list(*image, "urls", "spec.image.urls"));
    if (request.urls.empty()) return refuse(*image, "spec.image.urls", "no URL");
    for (const auto& item : image->find("urls")->items)
      if (!is_image_url(item.text) || has_space(item.text))
        return refuse(item, "spec.image.urls", "not an http, https, file or oci URL");

    INGOT_TRY_ASSIGN(const std::string type,
                     text(*image, "checksumType", "spec.image.checksumType"));
    const auto parsed = parse_digest_type(type);
    if (!parsed)
      return refuse(*image->find("checksumType"), "spec.image.checksumType",
                    "none of md5, sha256, sha512, auto");
    request.checksum.type = *parsed;
    INGOT_TRY_ASSIGN(std::string checksum, text(*image, "checksum", "spec.image.checksum"));
    if (checksum.empty()) {
      if (request.checksum.type)
        return refuse(*image, "spec.image.checksumType", "given without a checksum");
    } else if (is_checksum_url(checksum)) {
      if (has_space(checksum))
        return refuse(*image->find("checksum"), "spec.image.checksum", "white space in a URL");
    } else if (const auto digest = parse_checksum(checksum, request.checksum.type); !digest) {
      return refuse(*image->find("checksum"), "spec.image.checksum", digest.error().message());
    }
    request.checksum.value_or_url = std::move(checksum);

    INGOT_TRY_ASSIGN(request.format, text(*image, "format", "spec.image.format"));
    if (request.format == "auto") request.format.clear();
    if (!request.format.empty() && std::ranges::find(kFormats, request.format) == kFormats.end())
      return refuse(*image->find("format"), "spec.image.format",
                    "none of auto, raw, qcow2, vmdk, vhd, vhdx, vdi");
    return {};
  }

  Result<void> read_target(const YamlNode& spec, DeployRequest& request) const {
    INGOT_TRY_ASSIGN(const YamlNode* target, map(spec, "target", "spec.target"));
    if (target == nullptr) return {};
    INGOT_TRY(known(*target, "spec.target", {"device", "rootDeviceHints"}));
    INGOT_TRY_ASSIGN(request.device, text(*target, "device", "spec.target.device"));
    INGOT_TRY_ASSIGN(request.root_device_hints,
                     object(*target, "rootDeviceHints", "spec.target.rootDeviceHints"));
    return {};
  }

  Result<void> read_config_drive(const YamlNode& spec, DeployRequest& request) const {
    INGOT_TRY_ASSIGN(const YamlNode* drive, map(spec, "configDrive", "spec.configDrive"));
    if (drive == nullptr) return {};
    INGOT_TRY(known(*drive, "spec.configDrive", {"userData", "metaData", "networkData"}));
    INGOT_TRY_ASSIGN(request.user_data, text(*drive, "userData", "spec.configDrive.userData"));
    INGOT_TRY_ASSIGN(request.meta_data, object(*drive, "metaData", "spec.configDrive.metaData"));
    const YamlNode* network = drive->find("networkData");
    if (network != nullptr && network->kind == YamlNode::Kind::map) {
      request.network_data = write_json(*network, JsonForm::one_line);
      return {};
    }
    INGOT_TRY_ASSIGN(request.network_data,
                     text(*drive, "networkData", "spec.configDrive.networkData"));
    return {};
  }

  Result<void> known(const YamlNode& node, std::string_view where,
                     std::initializer_list<std::string_view> names) const {
    for (const auto& member : node.members)
      if (std::ranges::find(names, member.name) == names.end())
        return refuse(member.value,
                      where.empty() ? member.name : fmt::format("{}.{}", where, member.name),
                      fmt::format("no such field; there are {}", fmt::join(names, ", ")));
    return {};
  }

  // Nothing: it is absent or null.
  Result<const YamlNode*> map(const YamlNode& parent, std::string_view key,
                              std::string_view field) const {
    const YamlNode* node = parent.find(key);
    if (node == nullptr || node->kind == YamlNode::Kind::null) return nullptr;
    if (node->kind == YamlNode::Kind::map) return node;
    return refuse(*node, field, fmt::format("a map is wanted, {} is there", node->describe()));
  }

  // "": it is absent or null.
  Result<std::string> text(const YamlNode& parent, std::string_view key,
                           std::string_view field) const {
    const YamlNode* node = parent.find(key);
    if (node == nullptr || node->kind == YamlNode::Kind::null) return std::string();
    return string_of(*node, field);
  }

  Result<std::string> string_of(const YamlNode& node, std::string_view field) const {
    if (node.kind == YamlNode::Kind::scalar && node.string) return node.text;
    return refuse(node, field,
                  fmt::format("a string is wanted, {} is there{}", node.describe(),
                              node.kind == YamlNode::Kind::scalar ? "; put it in quotes" : ""));
  }

  Result<std::vector<std::string>> list(const YamlNode& parent, std::string_view key,
                                        std::string_view field) const {
    std::vector<std::string> values;
    const YamlNode* node = parent.find(key);
    if (node == nullptr || node->kind == YamlNode::Kind::null) return values;
    if (node->kind != YamlNode::Kind::sequence)
      return refuse(*node, field, fmt::format("a list is wanted, {} is there", node->describe()));
    for (const auto& item : node->items) {
      INGOT_TRY_ASSIGN(std::string value, string_of(item, field));
      if (value.empty()) return refuse(item, field, "an empty string");
      values.push_back(std::move(value));
    }
    return values;
  }

  // A map, or a string that holds one, as JSON.
  Result<std::string> object(const YamlNode& parent, std::string_view key,
                             std::string_view field) const {
    const YamlNode* node = parent.find(key);
    if (node != nullptr && node->kind == YamlNode::Kind::map)
      return write_json(*node, JsonForm::one_line);
    INGOT_TRY_ASSIGN(const std::string json, text(parent, key, field));
    if (json.empty()) return json;
    const auto parsed = parse_yaml(json);
    if (!parsed || parsed->kind != YamlNode::Kind::map)
      return refuse(*node, field, "neither a map nor a JSON object");
    return write_json(*parsed, JsonForm::one_line);
  }

  const std::string& from_;
};

Result<DeployRequest> of_os_image(std::string_view text, const std::string& from) {
  INGOT_TRY_ASSIGN(OsImage image, parse_os_image(text, from));
  DeployRequest request;
  request.os_image = std::move(image.name);
  request.urls = {std::move(image.url)};
  request.checksum = std::move(image.checksum);
  return request;
}

// The properties that a machine's own server makes of whatever it knows.
Result<DeployRequest> of_properties(const RequestReader& reader, const YamlNode& root,
                                    const std::string& from) {
  const YamlNode& properties = *root.find("properties");
  for (const auto& [key, value] : root.members)
    if (key != "properties") return reader.refuse(value, key, "no such field beside properties");
  if (properties.kind != YamlNode::Kind::map)
    return reader.refuse(properties, "properties",
                         fmt::format("a map is wanted, {} is there", properties.describe()));
  PropertySet set;
  for (const auto& [key, value] : properties.members) {
    if (value.kind != YamlNode::Kind::scalar || !value.string)
      return reader.refuse(value, fmt::format("properties[{}]", key),
                           fmt::format("a string is wanted, {} is there", value.describe()));
    set.set(key, value.text, {"", "", from, value.line});
  }
  return request_without_catalog(set);
}

}  // namespace

std::string_view name(OnSuccess action) noexcept {
  switch (action) {
    case OnSuccess::reboot:
      return "reboot";
    case OnSuccess::poweroff:
      return "poweroff";
    case OnSuccess::kexec:
      return "kexec";
    case OnSuccess::none:
      return "none";
  }
  return "none";
}

std::optional<OnSuccess> parse_on_success(std::string_view text) noexcept {
  for (const OnSuccess action : kActions)
    if (text == name(action)) return action;
  return std::nullopt;
}

YamlNode to_document(const DeployRequest& request) {
  YamlNode root = make_map();
  put_text(root, "apiVersion", kDeployRequestVersion);
  put_text(root, "kind", kKind);
  YamlNode metadata = make_map();
  put_text(metadata, "name", request.machine);
  put_unless_empty(root, "metadata", std::move(metadata));

  YamlNode& spec = put(root, "spec", make_map());
  put_text(spec, "osImage", request.os_image);
  YamlNode image = make_map();
  put_unless_empty(image, "urls", texts(request.urls));
  put_text(image, "checksum", request.checksum.value_or_url);
  if (request.checksum.type) put_text(image, "checksumType", name(*request.checksum.type));
  put_text(image, "format", request.format);
  put_unless_empty(spec, "image", std::move(image));

  YamlNode target = make_map();
  put_text(target, "device", request.device);
  if (!request.root_device_hints.empty())
    put(target, "rootDeviceHints", object_or_text(request.root_device_hints));
  put_unless_empty(spec, "target", std::move(target));

  YamlNode drive = make_map();
  put_text(drive, "userData", request.user_data);
  if (!request.meta_data.empty()) put(drive, "metaData", object_or_text(request.meta_data));
  put_text(drive, "networkData", request.network_data);
  put_unless_empty(spec, "configDrive", std::move(drive));

  put_unless_empty(spec, "sshKeys", texts(request.ssh_keys));
  put_unless_empty(spec, "dnsServers", texts(request.dns_servers));
  put_text(spec, "serverName", request.server_name);
  YamlNode report = make_map();
  put_text(report, "url", request.report_url);
  put_text(report, "token", request.report_token);
  put_unless_empty(spec, "report", std::move(report));
  if (request.on_success) put_text(spec, "onSuccess", name(*request.on_success));
  return root;
}

std::string to_json(const DeployRequest& request) {
  return write_json(to_document(request), JsonForm::lines);
}

Result<DeployRequest> parse_deploy_request(std::string_view text, const std::string& from) {
  const auto root = parse_yaml(text);
  if (!root)
    return fail(Errc::usage_manifest, fmt::format("{}: {}", from, root.error().message()), kAdvice);
  RequestReader reader(from);
  if (root->kind != YamlNode::Kind::map)
    return reader.refuse(*root, "the document",
                         fmt::format("a map is wanted, {} is there", root->describe()));
  const YamlNode* kind = root->find("kind");
  if (kind == nullptr && root->find("properties") != nullptr)
    return of_properties(reader, *root, from);
  if (kind == nullptr)
    return reader.refuse(*root, "kind",
                         "missing: neither a DeployRequest nor an OSImage, nor `properties`");
  if (kind->text == "OSImage") return of_os_image(text, from);
  if (kind->text != kKind || !kind->string)
    return reader.refuse(*kind, "kind", "neither DeployRequest nor OSImage");
  return reader.read(*root);
}

}  // namespace ingot::agent
