#include "agent/resolution/resolve.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/osimage/os_image.hpp"
#include "agent/resolution/user_data.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

constexpr std::array kOurs = {kDevice,     kRootDeviceHints, kImageFormat,
                              kOnSuccess,  kReportUrl,       kMacAddresses,
                              kSystemUuid, kSerialNumber,    kReinstall};
constexpr std::array kAboutTheFile = {kImageUrl, kImageChecksum, kImageChecksumType, kImageFormat};
constexpr std::array kFormats = {"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"};

// What names in properties led to.
struct Found {
  std::string machine;
  std::string os_image;  // whose URL it is; "": the chain's own
  std::vector<std::string> ssh_keys;
};

bool is_address(const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

// Makes a request of properties in which no name is left.
class RequestMaker {
 public:
  RequestMaker(const PropertySet& properties, const Found& found,
               std::vector<std::string>& warnings)
      : properties_(properties), found_(found), warnings_(warnings) {}

  Result<DeployRequest> make() {
    request_.machine = found_.machine;
    request_.os_image = found_.os_image;
    request_.ssh_keys = found_.ssh_keys;
    request_.server_name = value(kServerName);
    INGOT_TRY(read_image());
    INGOT_TRY(read_target());
    INGOT_TRY(read_network());
    INGOT_TRY(read_user_data());
    INGOT_TRY(read_afterwards());
    // A machine that is told anything is told its name, as Metal3 does.
    if (!request_.machine.empty() &&
        !(request_.user_data.empty() && request_.network_data.empty())) {
      YamlNode meta_data = make_map();
      put_text(meta_data, "name", request_.machine);
      put_text(meta_data, "hostname", request_.machine);
      request_.meta_data = write_json(meta_data, JsonForm::one_line);
    }
    for (const Property& property : properties_.all())
      if (property.name.starts_with("ingot.io/") &&
          std::ranges::find(kOurs, property.name) == kOurs.end())
        warn(property.name, "there is no such property; it has no effect");
    return std::move(request_);
  }

 private:
  [[nodiscard]] std::string value(std::string_view name) const { return properties_.value(name); }

  void warn(std::string_view name, std::string_view what) {
    const Property* property = properties_.find(name);
    warnings_.push_back(fmt::format("{}: {}: {}", property->origin.place(), name, what));
  }

  Result<void> read_image() {
    if (properties_.find(kImageUrl) == nullptr && properties_.find(kOsImage) == nullptr)
      return properties_.refuse(
          kOsImage, fmt::format("missing, and so is {}: nothing says which image", kImageUrl));
    const auto find = [this](std::string_view name) -> const std::string* {
      const Property* property = properties_.find(name);
      return property != nullptr ? &property->value : nullptr;
    };
    const auto refuse = [this](std::string_view name, std::string_view why) {
      return properties_.refuse(name, why);
    };
    INGOT_TRY_ASSIGN(ImageSource source, read_image_source(find, refuse));
    if (source.checksum.value_or_url.empty()) {
      if (found_.os_image.empty())
        return properties_.refuse(kImageUrl, fmt::format("it has no {}; both are required where no "
                                                         "OSImage gives them",
                                                         kImageChecksum));
      warn(kImageUrl,
           "there is no checksum: who writes the image will refuse it, or not know "
           "whether it is the right one");
    }
    request_.urls = {std::move(source.url)};
    request_.checksum = std::move(source.checksum);
    const Property* url = properties_.find(kImageUrl);
    const Property* checksum = properties_.find(kImageChecksum);
    if (checksum != nullptr && url->origin.object() != checksum->origin.object())
      warn(kImageUrl, fmt::format("its checksum is from elsewhere, {}: it must be of this file",
                                  checksum->origin.place()));
    request_.format = value(kImageFormat);
    if (request_.format == "auto") request_.format.clear();
    if (!request_.format.empty() && std::ranges::find(kFormats, request_.format) == kFormats.end())
      return properties_.refuse(kImageFormat, "none of auto, raw, qcow2, vmdk, vhd, vhdx, vdi");
    return {};
  }

  Result<void> read_target() {
    request_.device = value(kDevice);
    if (!request_.device.empty() && request_.device.front() != '/')
      return properties_.refuse(kDevice, "not a path");
    const std::string hints = value(kRootDeviceHints);
    if (!hints.empty()) {
      const auto parsed = parse_yaml(hints);
      if (!parsed || parsed->kind != YamlNode::Kind::map)
        return properties_.refuse(kRootDeviceHints, "not a JSON object");
      if (!request_.device.empty())
        return properties_.refuse(
            kRootDeviceHints,
            fmt::format("there is {} as well; only one of them can choose the disk", kDevice));
      request_.root_device_hints = write_json(*parsed, JsonForm::one_line);
    }
    return {};
  }

  Result<void> read_network() {
    request_.network_data = value(kNetworkData);
    if (request_.network_data.empty()) {
      INGOT_TRY(refuse_template(kNetworkDataTemplate, kNetworkData));
      for (const auto name : {kNetworkCidr, kNetworkIpRange})
        if (properties_.find(name) != nullptr)
          warn(name, "addresses are allocated by the platform; the request has none");
    }
    request_.dns_servers = comma_separated(value(kDnsServers));
    for (const auto& server : request_.dns_servers)
      if (!is_address(server))
        return properties_.refuse(kDnsServers, fmt::format("'{}' is no IP address", server));
    return {};
  }

  Result<void> read_user_data() {
    const std::string own = value(kUserData);
    if (own.empty()) INGOT_TRY(refuse_template(kUserDataTemplate, kUserData));
    auto data = with_ssh_keys(own, request_.ssh_keys);
    if (!data)
      return properties_.refuse(kUserData, "the user data: " + data.error().message(),
                                data.error().advice());
    request_.user_data = std::move(data->text);
    for (const auto& remark : data->remarks) warn(own.empty() ? kSshKeys : kUserData, remark);
    return {};
  }

  // Never a silent nothing where somebody relies on it.
  Result<void> refuse_template(std::string_view name, std::string_view direct) const {
    if (value(name).empty()) return {};
    return properties_.refuse(
        name,
        fmt::format("the MachineConfigTemplate '{}' is rendered by the platform, and its result is "
                    "not here",
                    value(name)),
        fmt::format("set {} to what the platform renders, which then wins", direct));
  }

  Result<void> read_afterwards() {
    const std::string action = value(kOnSuccess);
    request_.on_success = parse_on_success(action);
    if (!action.empty() && !request_.on_success)
      return properties_.refuse(kOnSuccess, "none of reboot, poweroff, kexec, none");
    request_.report_url = value(kReportUrl);
    if (request_.report_url.find_first_of(" \t\r\n") != std::string::npos)
      return properties_.refuse(kReportUrl, "white space in a URL");
    return {};
  }

  const PropertySet& properties_;
  const Found& found_;
  std::vector<std::string>& warnings_;
  DeployRequest request_;
};

class Resolver {
 public:
  Resolver(const ResolutionInput& input, Catalog& catalog) : input_(input), catalog_(catalog) {}

  Result<Resolution> resolve() {
    INGOT_TRY_ASSIGN(Chain chain, link(input_.manifests));
    resolution_.properties = std::move(chain.properties);
    resolution_.host = std::move(chain.host);
    found_.machine = std::move(chain.machine);
    if (!input_.os_image.empty())
      properties().set(std::string(kOsImage), input_.os_image, {"--osimage", "", "", 0});
    if (input_.provider != kMetal3) {
      resolution_.warnings.push_back(
          fmt::format("provider '{}': its properties are merged, but what it makes of them is not "
                      "known here: no name in them is looked up",
                      input_.provider));
      return std::move(resolution_);
    }
    INGOT_TRY(apply_image());
    INGOT_TRY(find_ssh_keys());
    apply_host();
    INGOT_TRY_ASSIGN(resolution_.request,
                     RequestMaker(properties(), found_, resolution_.warnings).make());
    return std::move(resolution_);
  }

 private:
  PropertySet& properties() { return resolution_.properties; }

  // An error of the catalog, and which property asked for it.
  Error asked_by(const Error& error, std::string_view name) {
    return error.with_context(fmt::format("{}: {}", properties().find(name)->origin.place(), name));
  }

  Result<void> apply_image() {
    const Property* named = properties().find(kOsImage);
    if (named == nullptr) return {};
    if (named->value.empty()) return properties().refuse(kOsImage, "empty");
    auto image = image_for(catalog_, named->value, input_.caller);
    if (!image) return tl::unexpected(asked_by(image.error(), kOsImage));

    const bool url = properties().find(kImageUrl) != nullptr;
    const bool checksum = properties().find(kImageChecksum) != nullptr;
    if (url && !checksum)
      return properties().refuse(
          kImageUrl,
          fmt::format("it has no {} of its own, and that of the OSImage '{}' is of another file",
                      kImageChecksum, image->name),
          fmt::format("set {} beside it, or take the URL away", kImageChecksum));
    if (!url) {
      if (auto serves = must_serve_metal3(*image); !serves)
        return tl::unexpected(asked_by(serves.error(), kOsImage));
      found_.os_image = image->name;
    }
    // Whoever named the image may not know what another link says.
    if (url && properties().find(kImageUrl)->origin.object() != named->origin.object())
      resolution_.warnings.push_back(
          fmt::format("{}: {}: the OSImage '{}' is not the one that is written: {} of {} wins",
                      named->origin.place(), kOsImage, image->name, kImageUrl,
                      properties().find(kImageUrl)->origin.place()));
    for (const ImageProperty& property : image->properties)
      INGOT_TRY(apply(*image, property, url, checksum));
    return {};
  }

  // A checksum's type is that of the same checksum, and a file's format that of the same file.
  Result<void> apply(const OsImage& image, const ImageProperty& property, bool url, bool checksum) {
    const Origin origin{"OSImage", image.name, image.file, property.line};
    const Property* direct = properties().find(property.name);
    const bool type = property.name == kImageChecksumType;
    const bool of_file = std::ranges::find(kAboutTheFile, property.name) != kAboutTheFile.end();
    if (direct == nullptr && ((url && of_file) || (checksum && type))) {
      leave_out(
          property, origin,
          type ? "it belongs to the OSImage's own checksum" : "it is of the OSImage's own file");
      return {};
    }
    if (belongs_on_machine(property.name)) {
      leave_out(property, origin, "it belongs on a Machine alone");
      return {};
    }
    if (type && direct != nullptr && !checksum && direct->value != property.value)
      return properties().refuse(
          kImageChecksumType,
          fmt::format("the checksum is that of the OSImage '{}', whose type is {}", image.name,
                      property.value),
          fmt::format("it goes with {}: set both, or neither", kImageChecksum));
    properties().set_underneath(property.name, property.value, origin);
    return {};
  }

  void leave_out(const ImageProperty& property, const Origin& origin, std::string why) {
    resolution_.left_out.push_back({property.name, property.value, origin, std::move(why)});
  }

  Result<void> find_ssh_keys() {
    for (const std::string& name : comma_separated(properties().value(kSshKeys))) {
      auto key = ssh_key_for(catalog_, name, input_.caller);
      if (!key) return tl::unexpected(asked_by(key.error(), kSshKeys));
      found_.ssh_keys.push_back(std::move(key->public_key));
    }
    return {};
  }

  void apply_host() {
    if (!resolution_.host) return;
    const BareMetalHost& host = *resolution_.host;
    if (host.root_device_hints.empty()) return;
    const Origin origin{"BareMetalHost", host.name, host.file, host.hints_line};
    if (properties().value(kDevice).empty())
      properties().set_underneath(std::string(kRootDeviceHints), host.root_device_hints, origin);
    else
      resolution_.left_out.push_back(
          {"spec.rootDeviceHints", host.root_device_hints, origin, "ingot.io/device wins"});
  }

  const ResolutionInput& input_;
  Catalog& catalog_;
  Resolution resolution_;
  Found found_;
};

}  // namespace

Result<Resolution> resolve(const ResolutionInput& input, Catalog& catalog) {
  return Resolver(input, catalog).resolve();
}

Result<DeployRequest> request_without_catalog(const PropertySet& properties) {
  for (const auto name : {kOsImage, kSshKeys})
    if (!properties.value(name).empty())
      return properties.refuse(name, "a name, and there is no catalog to find it in",
                               "`ingot resolve` makes a request without names of it");
  std::vector<std::string> warnings;
  return RequestMaker(properties, Found{}, warnings).make();
}

}  // namespace ingot::agent
