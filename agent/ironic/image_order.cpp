#include "agent/ironic/image_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/job/root_device_hints.hpp"
#include "agent/text/base64.hpp"
#include "agent/text/json_object.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

std::vector<std::string> urls_of(const json::object& image_info) {
  std::vector<std::string> urls;
  const json::value* value = image_info.if_contains("urls");
  if (value != nullptr && value->is_array())
    for (const auto& url : value->get_array())
      if (url.is_string() && !url.get_string().empty()) urls.emplace_back(url.get_string());
  return urls;
}

// Whether it begins with a scheme. What does not may hold credentials all the same, which nobody
// would find in it to mask them.
bool has_scheme(std::string_view url) {
  const auto end = url.find("://");
  return end != std::string_view::npos && end > 0 &&
         std::ranges::all_of(url.substr(0, end), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '-' || c == '.';
         });
}

// Whether host and port can be told from credentials. A proxy may be named without its scheme.
bool names_a_host(std::string_view proxy) {
  if (const auto scheme = proxy.find("://"); scheme != std::string_view::npos)
    proxy.remove_prefix(scheme + 3);
  const auto end = std::min(proxy.find_first_of("/?#"), proxy.size());
  if (proxy.find('@', end) != std::string_view::npos) return false;
  std::string_view host = proxy.substr(0, end);
  if (const auto at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  std::string_view port;
  const auto colon = host.rfind(':');
  const auto bracket = host.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  const bool closed = host.starts_with('[') == host.ends_with(']');
  return !host.empty() && closed && host.find_first_of(" \t\r\n") == std::string_view::npos &&
         port.find_first_not_of("0123456789") == std::string_view::npos;
}

AgentError no_url() {
  return invalid_parameters(
      "what is named as the image's URL is none: it does not begin with http:// or https://");
}

// Which checksum counts, by ironic-python-agent's rules: the pair first, then the single one.
Result<ChecksumRequest> checksum_of(const json::object& image_info) {
  const std::string algorithm = string_in(image_info, "os_hash_algo");
  const std::string value = string_in(image_info, "os_hash_value");
  const std::string single = string_in(image_info, "checksum");
  if (!algorithm.empty() && !value.empty()) {
    auto type = parse_digest_type(algorithm);
    if (type) return ChecksumRequest{value, *type};
    if (single.empty()) return tl::unexpected(type.error());
  }
  return ChecksumRequest{single, std::nullopt};
}

bool fit_for_header(const std::string& value) {
  return std::ranges::none_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

// Credentials and proxies, which only Ironic's form has.
std::optional<AgentError> add_access(const json::object& image_info,
                                     imaging::TransferOptions& transfer) {
  const std::string strategy = string_in(image_info, "image_server_auth_strategy");
  if (strategy == "http_basic") {
    transfer.user = string_in(image_info, "image_server_user");
    transfer.password = string_in(image_info, "image_server_password");
    if (transfer.user.empty() || transfer.password.empty())
      return invalid_parameters(
          "image_server_auth_strategy is http_basic, but image_server_user or "
          "image_server_password is missing");
  } else if (!strategy.empty() && strategy != "noauth") {
    return invalid_parameters(
        fmt::format("image_server_auth_strategy {} is not known; http_basic is", strategy));
  }
  if (const std::string text = string_in(image_info, "image_request_authorization");
      !text.empty()) {
    const auto value = from_base64(text);
    if (!value || value->empty() || !fit_for_header(*value))
      return invalid_parameters("image_request_authorization is no base64 of a header's value");
    transfer.authorization = *value;
    transfer.user.clear();
    transfer.password.clear();
  }
  if (const json::object* proxies = object_in(image_info, "proxies")) {
    const bool secure = imaging::is_https(urls_of(image_info).front());
    transfer.proxy = string_in(*proxies, secure ? "https" : "http");
    transfer.no_proxy = string_in(image_info, "no_proxy");
    // What curl cannot take apart, credentials and all, would become a name that is looked up.
    if (!transfer.proxy.empty() && !names_a_host(transfer.proxy))
      return invalid_parameters("proxies names something that is no URL of a proxy");
  }
  return std::nullopt;
}

// A format by its name in Ironic. An ISO image is written as it is, as is a disk with its GPT.
std::optional<imaging::ImageFormat> format_called(const std::string& name) {
  if (name == "gpt" || name == "iso") return imaging::ImageFormat::raw;
  if (name == "vpc") return imaging::ImageFormat::vhd;
  return imaging::image_format_from(name);
}

// The declared format; nothing: by content.
tl::expected<std::optional<imaging::ImageFormat>, AgentError> format_of(const std::string& name,
                                                                        const ImagePolicy& policy) {
  if (name.empty() || name == "unknown") return std::nullopt;
  // What is declared raw is always permitted, an ISO image is not.
  if (name == "iso" && std::ranges::count(policy.permitted_formats, name) == 0)
    return tl::unexpected(failure("InvalidImage",
                                  "the image is declared iso, which Ironic does not permit. Permit "
                                  "it in [conductor]permitted_image_formats"));
  if (const auto format = format_called(name)) return format;
  return tl::unexpected(failure(
      "InvalidImage", fmt::format("disk_format {} is not known: raw, qcow2, vmdk, vhd, vhdx and "
                                  "vdi are. Convert the image with qemu-img convert -O qcow2",
                                  name)));
}

std::vector<imaging::ImageFormat> permitted_of(const std::vector<std::string>& names) {
  std::vector<imaging::ImageFormat> formats;
  for (const std::string& name : names) {
    const auto format = format_called(name);
    if (format && std::ranges::count(formats, *format) == 0) formats.push_back(*format);
  }
  return formats;
}

tl::expected<WriteRequest, AgentError> request_for(const std::string& config_drive,
                                                   const OrderContext& context) {
  WriteRequest request;
  request.image.md5_allowed = context.policy.md5_allowed;
  request.image.permitted = permitted_of(context.policy.permitted_formats);
  request.transfer.ca_file = context.options.ca_file;
  request.transfer.tls_insecure = context.options.tls_insecure;
  request.transfer.allow_file = false;
  request.config_drive.config_drive = config_drive;
  request.config_drive.anonymous = true;
  request.target.only = context.options.only_disks;
  request.target.yes = true;
  // What old metadata on the disk assembled, nobody needs; the running system's disk stays refused.
  request.target.force = true;
  const std::string hints = root_device_hints_of(context.node);
  auto parsed = parse_root_device_hints(hints.empty() ? "{}" : hints);
  if (!parsed) return tl::unexpected(agent_error(parsed.error()));
  request.target.hints = *std::move(parsed);
  auto skipped = skipped_disks_of(context.node);
  if (!skipped) return tl::unexpected(agent_error(skipped.error()));
  request.target.except = *std::move(skipped);
  return request;
}

// Holds the image to the permitted formats. What is declared to be written as it is, is.
std::optional<AgentError> settle_permitted(ImageOptions& image) {
  if (image.format == imaging::ImageFormat::raw) {
    image.permitted.clear();
  } else if (image.permitted.empty()) {
    return failure("InvalidImage",
                   "Ironic permits no format of images that is known. Correct "
                   "[conductor]permitted_image_formats");
  }
  return std::nullopt;
}

}  // namespace

std::string root_device_hints_of(const json::object& node) {
  for (const char* where : {"instance_info", "properties"})
    if (const json::object* info = object_in(node, where))
      if (const json::object* hints = object_in(*info, "root_device"))
        if (!hints->empty()) return json::serialize(*hints);
  return {};
}

Result<std::vector<disk::RootDeviceHints>> skipped_disks_of(const json::object& node) {
  std::vector<disk::RootDeviceHints> skipped;
  const json::object* properties = object_in(node, "properties");
  const json::value* list =
      properties != nullptr ? properties->if_contains("skip_block_devices") : nullptr;
  if (list == nullptr || list->is_null()) return skipped;
  const auto malformed = [] {
    return fail(Errc::usage_hints, "the node's skip_block_devices is no list of objects",
                R"(give a list of hints like [{"serial": "s== S1"}])");
  };
  if (!list->is_array()) return malformed();
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_object()) return malformed();
    const json::object& hints = entry.get_object();
    if (hints.empty() || hints.contains("volume_name")) continue;
    auto parsed = parse_root_device_hints(json::serialize(hints));
    if (!parsed)
      return tl::unexpected(parsed.error().with_context("the node's skip_block_devices"));
    skipped.push_back(*std::move(parsed));
  }
  return skipped;
}

std::optional<AgentError> check_image_info(const json::object& image_info,
                                           const ImagePolicy& policy) {
  constexpr std::size_t kMd5 = 32;  // hexadecimal digits
  if (string_in(image_info, "id").empty())
    return invalid_parameters("image_info has no id of the image");
  if (urls_of(image_info).empty())
    return invalid_parameters("image_info has no list of the image's urls");
  if (!std::ranges::all_of(urls_of(image_info), has_scheme)) return no_url();
  const std::string algorithm = string_in(image_info, "os_hash_algo");
  const std::string value = string_in(image_info, "os_hash_value");
  const std::string single = string_in(image_info, "checksum");
  if (algorithm.empty() != value.empty())
    return invalid_parameters("image_info has one of os_hash_algo and os_hash_value, not both");
  if (!value.empty()) return std::nullopt;
  if (single.empty())
    return invalid_parameters(
        "image_info has no checksum: os_hash_algo and os_hash_value, or checksum");
  if (!is_checksum_url(single) && single.size() <= kMd5 && !policy.md5_allowed)
    return invalid_parameters(
        "the checksum is md5, which is not allowed here; name a sha256 or sha512 checksum");
  return std::nullopt;
}

tl::expected<WriteRequest, AgentError> write_request(const json::object& image_info,
                                                     const std::string& config_drive,
                                                     const OrderContext& context) {
  if (auto wrong = check_image_info(image_info, context.policy))
    return tl::unexpected(*std::move(wrong));
  if (string_in(image_info, "image_type") == "partition")
    return tl::unexpected(
        failure("InvalidImage",
                "the image is a partition image, and only whole-disk images can be written. Remove "
                "kernel and ramdisk from the node's instance_info, and name a whole-disk image"));
  auto request = request_for(
      config_drive.empty() ? string_in(image_info, "configdrive") : config_drive, context);
  if (!request) return request;
  request->image.urls = urls_of(image_info);
  auto checksum = checksum_of(image_info);
  if (!checksum) return tl::unexpected(agent_error(checksum.error()));
  request->image.checksum = *std::move(checksum);
  auto format = format_of(string_in(image_info, "disk_format"), context.policy);
  if (!format) return tl::unexpected(format.error());
  request->image.format = *format;
  if (auto wrong = settle_permitted(request->image)) return tl::unexpected(*std::move(wrong));
  if (auto wrong = add_access(image_info, request->transfer))
    return tl::unexpected(*std::move(wrong));
  return request;
}

tl::expected<WriteRequest, AgentError> write_request_of_properties(const json::object& properties,
                                                                   const std::string& config_drive,
                                                                   const OrderContext& context) {
  auto request = request_for(config_drive, context);
  if (!request) return request;
  if (auto wrong = settle_permitted(request->image)) return tl::unexpected(*std::move(wrong));
  const std::string url = string_in(properties, "metal3.vcluster.com/image-url");
  const std::string checksum = string_in(properties, "metal3.vcluster.com/image-checksum");
  if (url.empty() || checksum.empty())
    return tl::unexpected(invalid_parameters(
        "the properties lack metal3.vcluster.com/image-url or metal3.vcluster.com/image-checksum"));
  if (!has_scheme(url)) return tl::unexpected(no_url());
  const auto type =
      parse_digest_type(string_in(properties, "metal3.vcluster.com/image-checksum-type"));
  if (!type) return tl::unexpected(agent_error(type.error()));
  request->image.urls = {url};
  request->image.checksum = {checksum, *type};
  return request;
}

}  // namespace ingot::agent
