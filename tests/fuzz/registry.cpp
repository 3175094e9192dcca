// Fuzz target: what a registry says, and a reference into one.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "imaging/registry/challenge.hpp"
#include "imaging/registry/manifest.hpp"
#include "imaging/registry/reference.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;           // NOLINT: a test program of its own
using namespace ingot::imaging;  // NOLINT

namespace {

void must_be_of(const Manifest& manifest, const Result<Descriptor>& chosen) {
  if (!chosen) {
    if (chosen.error().code() != Errc::image_unsupported) std::abort();
    return;
  }
  const auto is_it = [&](const Descriptor& one) { return one.digest == chosen->digest; };
  if (!std::ranges::any_of(manifest.entries, is_it)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = parse_manifest(text);
  if (manifest) {
    must_be_of(*manifest, choose_layer(*manifest));
    must_be_of(*manifest, choose_manifest(*manifest, {"linux", "amd64", ""}));
  } else if (manifest.error().cls() != ErrorClass::image) {
    std::abort();
  }
  const auto reference = parse_image_reference(text);
  if (!reference && reference.error().code() != Errc::usage_option) std::abort();
  // What becomes part of a URL's path cannot lead out of it.
  if (reference && (reference->repository.find_first_of("?#%\\ ") != std::string::npos ||
                    reference->repository.find("..") != std::string::npos ||
                    reference->tag.empty() == !reference->digest))
    std::abort();
  for (const auto& challenge : parse_challenges(text))
    if (challenge.scheme.empty()) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string layer =
      R"({"mediaType":"application/octet-stream","digest":")" + digest +
      R"(","size":12,"annotations":{"org.opencontainers.image.title":"a.raw"}})";
  std::vector<Input> inputs;
  for (const std::string& text :
       {R"({"schemaVersion":2,"layers":[)" + layer + "," + layer + "]}",
        R"({"schemaVersion":2,"manifests":[{"digest":")" + digest +
            R"(","size":3,"platform":{"os":"linux","architecture":"amd64"}}]})",
        std::string("oci://registry.example:5000/images/debian:12"), "docker://debian@" + digest,
        std::string(
            R"(Bearer realm="https://a.example/token",service="r",scope="x:y:pull", Basic)")})
    inputs.emplace_back(text.begin(), text.end());
  return inputs;
}
