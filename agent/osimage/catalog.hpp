/// Catalog: where OSImages and SSHKeys are found by name.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/osimage/access.hpp"
#include "agent/osimage/os_image.hpp"
#include "agent/osimage/ssh_key.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// A source of the platform's objects. One thread at a time.
class Catalog {
 public:
  virtual ~Catalog() = default;
  /// Nothing: there is none of this name. Errors: the source's own.
  virtual Result<std::optional<OsImage>> find_image(const std::string& name) = 0;
  virtual Result<std::optional<SshKey>> find_ssh_key(const std::string& name) = 0;
  /// All, by name. Errors: the source's own.
  virtual Result<std::vector<OsImage>> list_images() = 0;
  /// All, by name; none where the source cannot list them, so that no other name can be offered.
  /// Errors: the source's own.
  virtual Result<std::vector<SshKey>> list_ssh_keys() { return std::vector<SshKey>(); }
  /// "the catalog DIR": for messages.
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// The OSImage called `name`, which `caller` (nobody in particular: no check) may use.
///
/// Errors: usage.manifest: there is none; it names those that the caller may use, the nearest
/// first. access.denied: and who could grant it, nothing else of the image. Names of images that
/// the caller may not use are never told: such a one does not exist for him where he asks for
/// another.
Result<OsImage> image_for(Catalog& catalog, const std::string& name,
                          const std::optional<Caller>& caller);

/// The same of an SSHKey.
Result<SshKey> ssh_key_for(Catalog& catalog, const std::string& name,
                           const std::optional<Caller>& caller);

/// `names`, the one most like `wanted` first (edit distance), at most `most`.
[[nodiscard]] std::vector<std::string> nearest_first(std::vector<std::string> names,
                                                     std::string_view wanted, std::size_t most);

}  // namespace ingot::agent
