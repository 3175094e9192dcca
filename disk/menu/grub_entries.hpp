/// The entries of GRUB's menu, and which of them is the default.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "disk/menu/grub_environment.hpp"

namespace ingot::disk {

inline constexpr std::size_t kMostGrubEntries = 4096;

struct GrubEntry {
  std::string title, id;
  bool name_known = true;
  bool submenu = false;
  bool unrestricted = false;  ///< anybody may start it, whatever `superusers` says
  const GrubBlock* body = nullptr;
};

/// `menuentry` or `submenu` with its arguments; the body is the caller's.
[[nodiscard]] GrubEntry parse_grub_entry(const std::vector<GrubText>& arguments);

struct GrubEntries {
  std::vector<GrubEntry> entries;
  /// Entries from this one on may have another number: something may have added some before them.
  /// Nothing: all numbers are known.
  std::optional<std::size_t> certain{};

  /// Entries may be added here, or not.
  void doubt();
  /// The number of the entry that the variable `default` names by number, title or id; the first
  /// one where it names none. Errors: image.unsupported: which one that is, is not known; there is
  /// none. Source: grub-core's normal/menu.c, get_entry_number().
  [[nodiscard]] Result<std::size_t> find(const std::string& wanted) const;
};

/// The default "a>b>c" is entry c in submenu b in submenu a; ">>" stands for a '>' in a title.
[[nodiscard]] std::string first_of_path(const std::string& path);
/// What is left of it for the submenu.
[[nodiscard]] std::string below(const std::string& path);

}  // namespace ingot::disk
