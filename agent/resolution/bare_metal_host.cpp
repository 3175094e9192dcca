#include "agent/resolution/bare_metal_host.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/resolution/properties.hpp"
#include "agent/resolution/published_checksum.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

constexpr std::array kFormats = {"raw", "qcow2", "vdi", "vmdk"};

YamlNode metadata_of(const std::string& name, const std::string& name_space) {
  YamlNode metadata = make_map();
  put_text(metadata, "name", name);
  put_text(metadata, "namespace", name_space);
  return metadata;
}

YamlNode image_of(const DeployRequest& request) {
  YamlNode image = make_map();
  put_text(image, "url", request.urls.front());
  if (!request.checksum.value_or_url.empty()) {
    const PublishedChecksum checksum = published(request.checksum);
    put_text(image, "checksum", checksum.value_or_url);
    // Older operators take a checksum without a type for MD5.
    put_text(image, "checksumType", checksum.type ? name(*checksum.type) : "auto");
  }
  put_text(image, "format", request.format);
  return image;
}

}  // namespace

Result<std::vector<YamlNode>> bare_metal_host_patch(const DeployRequest& request,
                                                    const std::string& given,
                                                    const std::string& name_space) {
  const std::string& host = given.empty() ? request.server_name : given;
  if (!request.format.empty() && std::ranges::find(kFormats, request.format) == kFormats.end())
    return fail(Errc::usage_manifest,
                fmt::format("{}: Metal3 does not know the format {}", kImageFormat, request.format),
                fmt::format("it knows {}", fmt::join(kFormats, ", ")));
  struct Data {
    std::string_view field, suffix;
    const std::string& text;
  };
  const std::array secrets = {Data{"userData", "user-data", request.user_data},
                              Data{"networkData", "network-data", request.network_data}};

  YamlNode spec = make_map();
  put(spec, "image", image_of(request));
  std::vector<YamlNode> documents;
  for (const auto& [field, suffix, text] : secrets) {
    if (text.empty()) continue;
    if (host.empty())
      return fail(
          Errc::usage_manifest,
          "which BareMetalHost is not said, and Secrets have to be named after it",
          fmt::format("set {} on the Machine, or give the BareMetalHost's manifest", kServerName));
    const std::string secret_name = fmt::format("{}-{}", host, suffix);
    YamlNode secret = make_map();
    put_text(secret, "apiVersion", "v1");
    put_text(secret, "kind", "Secret");
    put(secret, "metadata", metadata_of(secret_name, name_space));
    put_text(secret, "type", "Opaque");
    put_text(put(secret, "stringData", make_map()), field, text);
    documents.push_back(std::move(secret));
    put(spec, field, metadata_of(secret_name, name_space));
  }
  put(spec, "online", make_bool(true));

  YamlNode patch = make_map();
  put_text(patch, "apiVersion", "metal3.io/v1alpha1");
  put_text(patch, "kind", "BareMetalHost");
  YamlNode metadata = metadata_of(host, name_space);
  if (!request.dns_servers.empty())
    put_text(put(metadata, "annotations", make_map()), kDnsServers,
             fmt::format("{}", fmt::join(request.dns_servers, ",")));
  put_unless_empty(patch, "metadata", std::move(metadata));
  put(patch, "spec", std::move(spec));
  documents.push_back(std::move(patch));
  return documents;
}

}  // namespace ingot::agent
