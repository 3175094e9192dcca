#include "imaging/registry/resolve_reference.hpp"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "disk/core/url_text.hpp"
#include "imaging/digest.hpp"
#include "imaging/registry/manifest.hpp"
#include "imaging/registry/reference.hpp"
#include "imaging/registry/registry_login.hpp"
#include "imaging/url.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kMaxManifest = 4 * 1024 * 1024;  // bytes, what registries take at least

// Without these registries make up a manifest of an older kind.
constexpr const char* kManifestTypes =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

std::string text(const Digest& digest) {
  return fmt::format("{}:{}", name(digest.type), digest.hex);
}

class Registry {
 public:
  Registry(const ImageReference& reference, const TransferOptions& transfer, std::stop_token stop,
           JobListener* listener)
      : root_(fmt::format("{}/v2/{}/", reference.base, reference.repository)),
        transfer_(transfer),
        stop_(std::move(stop)),
        listener_(listener) {
    transfer_.accept = kManifestTypes;
    transfer_.allow_file = false;
  }

  // `name` is a tag; with a digest that is the name, and decides.
  Result<Manifest> manifest(const std::string& name, const std::optional<Digest>& expected,
                            Digest& digest) {
    const std::string url = root_ + "manifests/" + name;
    auto fetched = fetch_text(url, transfer_, kMaxManifest, stop_, listener_);
    if (!fetched) return tl::unexpected(fetched.error().with_context("asking the registry"));
    Hasher hasher(expected ? expected->type : DigestType::sha256);
    hasher.update(std::as_bytes(std::span(*fetched)));
    digest = hasher.snapshot();
    if (expected && digest != *expected)
      return fail(Errc::checksum_mismatch,
                  fmt::format("{}: the manifest has the digest {}, not {}", redacted(url),
                              text(digest), text(*expected)),
                  "the registry, or a proxy before it, is broken or lies");
    auto parsed = parse_manifest(*fetched);
    if (!parsed) return tl::unexpected(parsed.error().with_context(redacted(url)));
    return parsed;
  }

  [[nodiscard]] std::string blob(const Digest& digest) const {
    return root_ + "blobs/" + text(digest);
  }
  [[nodiscard]] std::string shown() const { return redacted(root_); }

 private:
  const std::string root_;
  TransferOptions transfer_;
  const std::stop_token stop_;
  JobListener* const listener_;
};

}  // namespace

Result<ReferencedImage> resolve_reference(std::string_view reference, TransferOptions& transfer,
                                          std::stop_token stop, JobListener* listener) {
  INGOT_TRY_ASSIGN(const ImageReference image, parse_image_reference(reference));
  INGOT_TRY_ASSIGN(const Url server, parse_url(image.base));
  Platform platform = this_platform();
  if (!transfer.platform.empty()) {
    INGOT_TRY_ASSIGN(platform, parse_platform(transfer.platform));
  }
  if (!transfer.login && transfer.authorization.empty())
    transfer.login = std::make_shared<RegistryLogin>(transfer);
  if (transfer.login) transfer.login->serve(server);

  Registry registry(image, transfer, std::move(stop), listener);
  ReferencedImage out;
  out.untouched = image.digest || (server.scheme == "https" && !transfer.tls_insecure);
  INGOT_TRY_ASSIGN(Manifest manifest,
                   registry.manifest(image.digest ? text(*image.digest) : image.tag, image.digest,
                                     out.manifest));
  if (manifest.is_index) {
    const auto chosen = choose_manifest(manifest, platform);
    if (!chosen) return tl::unexpected(chosen.error().with_context(registry.shown()));
    Digest same;
    INGOT_TRY_ASSIGN(manifest, registry.manifest(text(chosen->digest), chosen->digest, same));
    if (manifest.is_index)
      return fail(Errc::image_unsupported, registry.shown() + ": the index refers to another index",
                  "name the image's own manifest by its digest");
  }
  const auto layer = choose_layer(manifest);
  if (!layer) return tl::unexpected(layer.error().with_context(registry.shown()));
  out.url = registry.blob(layer->digest);
  out.digest = layer->digest;
  out.size = layer->size;
  return out;
}

}  // namespace ingot::imaging
