// Fuzz target: a file of manifests.
#include "agent/osimage/manifest.hpp"

#include <cstdlib>
#include <string>

#include "agent/osimage/os_image.hpp"
#include "agent/osimage/ssh_key.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;         // NOLINT: a test program of its own
using namespace ingot::agent;  // NOLINT

namespace {

void must_name_its_place(const Error& error) {
  if (error.code() != Errc::usage_manifest || !error.message().starts_with("m.yaml:")) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifests = parse_manifests(text, "m.yaml", EmptyList::allowed);
  if (!manifests) {
    must_name_its_place(manifests.error());
    return 0;
  }
  std::size_t warned = 0;
  const auto warn = [&](const std::string& warning) { warned += warning.size(); };
  for (const Manifest& manifest : *manifests) {
    if (manifest.kind.empty() || manifest.api_version.empty() || manifest.name.empty())
      std::abort();
    const auto image = read_os_image(manifest, warn);
    if (!image)
      must_name_its_place(image.error());
    else if (image->url.empty() == image->other_provider.empty() ||
             must_serve_metal3(*image).has_value() != image->other_provider.empty())
      std::abort();
    const auto key = read_ssh_key(manifest, warn);
    if (!key)
      must_name_its_place(key.error());
    else if (key->public_key.find('\n') != std::string::npos)
      std::abort();
  }
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  const std::string head = "apiVersion: management.loft.sh/v1\nkind: ";
  const std::string image =
      head +
      "OSImage\nmetadata: {name: a}\nspec:\n  owner: {user: admin}\n"
      "  access: [{users: ['*'], verbs: [get], subresources: [logs]}]\n  properties:\n"
      "    metal3.vcluster.com/image-url: https://example.org/a\n"
      "    metal3.vcluster.com/image-checksum: \"d41d8cd98f00b204e9800998ecf8427e\"\n"
      "    metal3.vcluster.com/image-checksum-type: md5\n";
  const std::string key = head +
                          "SSHKey\nmetadata: {name: k}\nspec:\n  publicKey: |\n    ssh-ed25519 "
                          "AAAAC3NzaC1lZDI1NTE5AAAAIAAB me\n";
  std::vector<Input> inputs;
  for (const std::string& text :
       {image, key, image + "---\n" + key + "...\n---\n",
        head + "OSImageList\nitems:\n- metadata: {name: b}\n  spec: {properties: {\n"
               "    kubevirt.vcluster.com/image-url: 'docker://a'}}\n",
        std::string(R"({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1",)"
                    R"( "kind": "Pod", "metadata": {"name": "p"}}]})")})
    inputs.emplace_back(text.begin(), text.end());
  return inputs;
}
