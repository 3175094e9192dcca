/// Manifests: files of Kubernetes objects, each read strictly, with file, line and field in every
/// message.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/text/yaml_document.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// One object of a file.
struct Manifest {
  std::string file;         ///< as it is named in messages
  std::string api_version;  ///< "management.loft.sh/v1"
  std::string kind;         ///< "OSImage"
  std::string name;         ///< metadata.name
  YamlNode root;
  std::string path;  ///< of `root` in the file's document: "items[2]." in a list, or ""
};

/// Told of what is no error, each a sentence with file, line and field.
using OnWarning = std::function<void(const std::string&)>;

enum class EmptyList { refused, allowed };

/// The objects of `text`: YAML documents separated by "---", or JSON; the items of a `v1` List and
/// of lists of a kind ("OSImageList"), whose items may lack apiVersion and kind. `file` is for
/// messages.
///
/// Errors: usage.manifest: no object (unless `empty_list` allows a list without items, which is
/// what a server without any object answers), an object without apiVersion, kind or metadata.name,
/// limits of parse_yaml().
Result<std::vector<Manifest>> parse_manifests(std::string_view text, const std::string& file,
                                              EmptyList empty_list = EmptyList::refused);

/// The same of a file ("-": standard input), 1 MiB at most. Errors: usage.manifest.
Result<std::vector<Manifest>> load_manifests(const std::string& path,
                                             EmptyList empty_list = EmptyList::refused);

/// Whether it is the platform's: management.loft.sh/v1, or storage.loft.sh/v1, in which the
/// platform stores the same.
[[nodiscard]] bool is_platforms(const Manifest& manifest) noexcept;

/// Reads the fields of one manifest; its errors name file, line and field.
class ManifestReader {
 public:
  explicit ManifestReader(const Manifest& manifest) : manifest_(manifest) {}

  [[nodiscard]] const Manifest& manifest() const noexcept { return manifest_; }
  /// "FILE:LINE: FIELD: WHY", as an error, and as a remark.
  [[nodiscard]] tl::unexpected<Error> refuse(const YamlNode& node, std::string_view field,
                                             std::string_view why) const;
  [[nodiscard]] std::string remark(const YamlNode& node, std::string_view field,
                                   std::string_view what) const;
  /// Fails unless the manifest is the platform's, and of this kind.
  [[nodiscard]] Result<void> must_be(std::string_view kind) const;

  /// A required map inside `parent`.
  Result<const YamlNode*> map(const YamlNode& parent, std::string_view key,
                              std::string_view field) const;
  /// A required, non-empty string inside `parent`.
  Result<const YamlNode*> text(const YamlNode& parent, std::string_view key,
                               std::string_view field) const;
  /// A string inside `parent`; "" where it is absent or null.
  Result<std::string> optional_text(const YamlNode& parent, std::string_view key,
                                    std::string_view field) const;
  /// A list of non-empty strings inside `parent`; empty where it is absent or null.
  Result<std::vector<std::string>> optional_texts(const YamlNode& parent, std::string_view key,
                                                  std::string_view field) const;
  [[nodiscard]] Result<void> must_be_string(const YamlNode& node, std::string_view field) const;

 private:
  const Manifest& manifest_;
};

}  // namespace ingot::agent
