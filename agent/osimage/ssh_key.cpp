#include "agent/osimage/ssh_key.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "agent/text/base64.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Whether the key's bytes begin with the name of its type, as they do in every key that is not cut
// off or of another type. Source: RFC 4253, section 6.6.
bool bytes_are_of_type(std::string_view key) {
  const std::size_t blank = key.find_first_of(" \t");
  const std::string_view type = key.substr(0, blank);
  std::string_view encoded = trimmed(key.substr(blank));
  encoded = encoded.substr(0, encoded.find_first_of(" \t"));
  std::string head = {0, 0, 0, static_cast<char>(type.size())};
  head += type;
  const auto bytes = from_base64(encoded);
  return bytes && bytes->starts_with(head);
}

}  // namespace

Result<SshKey> read_ssh_key(const Manifest& manifest, const OnWarning& on_warning) {
  static constexpr std::string_view kKnown[] = {"displayName", "description", "publicKey", "owner",
                                                "access"};
  static constexpr std::string_view kField = "spec.publicKey";
  const ManifestReader reader(manifest);
  INGOT_TRY(reader.must_be("SSHKey"));
  INGOT_TRY_ASSIGN(const YamlNode* spec, reader.map(manifest.root, "spec", "spec"));

  SshKey key;
  key.name = manifest.name;
  key.file = manifest.file;
  key.line = manifest.root.find("metadata")->find("name")->line;
  INGOT_TRY_ASSIGN(key.display_name,
                   reader.optional_text(*spec, "displayName", "spec.displayName"));
  INGOT_TRY(reader.optional_text(*spec, "description", "spec.description"));
  INGOT_TRY_ASSIGN(const YamlNode* text, reader.text(*spec, "publicKey", kField));
  const std::string_view line = trimmed(text->text);
  // No message shows the value, which is a secret where somebody took the wrong file.
  if (line.find("PRIVATE KEY") != std::string_view::npos ||
      line.find("PuTTY-User-Key-File") != std::string_view::npos)
    return reader.refuse(*text, kField,
                         "a private key; the public one is wanted (and a private key that was put "
                         "here is no longer a secret)");
  if (line.empty()) return reader.refuse(*text, kField, "empty");
  if (std::ranges::any_of(line,
                          [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }))
    return reader.refuse(*text, kField, "more than one line; a manifest holds one key");
  if (line.find_first_of(" \t") == std::string_view::npos)
    return reader.refuse(*text, kField, "no public key: \"TYPE BASE64 [COMMENT]\" is wanted");
  key.public_key = line;
  INGOT_TRY_ASSIGN(key.access, read_access(reader, *spec, on_warning));
  if (on_warning) {
    if (!bytes_are_of_type(line))
      on_warning(reader.remark(*text, kField,
                               "this does not look like a public key of the type that it names; "
                               "is it whole?"));
    for (const auto& [name, value] : spec->members)
      if (std::ranges::find(kKnown, name) == std::end(kKnown))
        on_warning(reader.remark(value, "spec." + name, "unknown; passed over"));
  }
  return key;
}

}  // namespace ingot::agent
