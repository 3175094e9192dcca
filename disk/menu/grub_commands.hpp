/// GRUB's commands: what each means for the default entry, and texts that they take and give.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "disk/menu/grub_environment.hpp"

namespace ingot::disk {

enum class GrubCommand {
  unknown,           ///< nothing can be said of what it does
  harmless,          ///< changes nothing that decides what is started
  test,              ///< test, [
  set,               ///< set, unset; increment, decrement: a variable that is not known then
  load_environment,  ///< load_env
  search,            ///< search, search.fs_uuid, …
  linux_kernel,      ///< linux and its relatives
  initrd,
  menu_entry,      ///< menuentry, submenu
  loader_entries,  ///< blscfg
  source,          ///< source, .
  config,          ///< configfile, normal
};
[[nodiscard]] GrubCommand grub_command(std::string_view name);

/// Whether a harmless command succeeds.
[[nodiscard]] Truth harmless_status(std::string_view name);

/// What a `search` looks for.
struct GrubSearch {
  enum class What { unknown, uuid, label, file };
  What what = What::unknown;
  std::string value;
  std::string variable;  ///< that gets the device; ""
};
[[nodiscard]] GrubSearch parse_grub_search(const std::string& name,
                                           const std::vector<GrubText>& arguments);

/// An argument of `linux` as GRUB hands it to the kernel. Source: grub-core's
/// lib/cmdline.c.
[[nodiscard]] std::string quote_for_kernel(const std::string& argument);

}  // namespace ingot::disk
