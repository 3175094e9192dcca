/// GRUB's variables, of which some are not known, and its `test`.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "disk/menu/boot_choice.hpp"
#include "disk/menu/grub_script.hpp"

namespace ingot::disk {

/// Whether something is so, as far as can be known.
enum class Truth { no, yes, unknown };
[[nodiscard]] Truth operator!(Truth truth);
[[nodiscard]] inline Truth truth(bool value) {
  return value ? Truth::yes : Truth::no;
}

/// A text that may depend on what is not known.
struct GrubText {
  std::string text;
  bool known = true;
};

/// The variables of one run. Everything that grows takes from one allowance, so that no script is
/// endless or large.
class GrubEnvironment {
 public:
  /// As it is when GRUB reads its first file, but for `root` and `prefix`.
  explicit GrubEnvironment(const BootFirmware& firmware);

  [[nodiscard]] GrubText get(const std::string& name) const;
  void set(const std::string& name, GrubText value);
  void forget(const std::string& name) { set(name, {{}, false}); }

  /// The arguments of the function that runs: $1, $2, …
  std::vector<GrubText> positional;
  Truth last = Truth::yes;  ///< $?

  /// A word, with variables put in: several arguments, or none, where an unquoted one has blanks or
  /// is empty. Errors: image.unsupported: the allowance is used up.
  Result<void> expand(const GrubWord& word, std::vector<GrubText>& arguments);
  /// Takes from the allowance. Errors: image.unsupported: it is used up.
  Result<void> spend(std::size_t amount);

  /// The name=value lines of grubenv. What is not well-formed is passed over.
  void load(std::string_view grubenv, const std::vector<GrubText>& only);

 private:
  [[nodiscard]] GrubText value_of(const std::string& name) const;

  std::map<std::string, GrubText> values_;
  std::size_t left_ = 8 * MiB;  // bytes of text and commands run
};

/// GRUB's `test`, without its name and its closing bracket. `kind` says what is at a path.
[[nodiscard]] Truth grub_test(
    const std::vector<GrubText>& arguments,
    const std::function<std::optional<FileTree::Kind>(const std::string& path)>& kind);

}  // namespace ingot::disk
