/// Boot loader entries as systemd-boot, and GRUB's blscfg, find them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/menu/boot_choice.hpp"

namespace ingot::disk {

/// One entry: the text of a file in loader/entries, or a unified kernel image.
struct LoaderEntry {
  std::string id;  ///< the file's name without suffix and counters: "fedora-6.5.6"
  std::size_t volume = 0;
  std::string path;  ///< of the file that it was made of
  bool unified = false;

  std::string title, version, machine_id, sort_key, architecture;
  std::string linux_path, efi_path, device_tree;
  std::vector<std::string> initrds;  ///< a line each, as it stands
  std::string options;               ///< all lines, joined by blanks

  std::optional<unsigned> tries_left{};  ///< boot counting: nothing if it is not counted
  unsigned tries_done = 0;

  /// Boot counting has given it up.
  [[nodiscard]] bool bad() const { return tries_left == 0U; }
};

/// A type 1 entry. `file_name` is "ID[+LEFT[-DONE]].conf"; keys that are not known are passed over.
/// Source: UAPI.1, Boot Loader Specification.
[[nodiscard]] LoaderEntry parse_loader_entry(std::string_view file_name, std::string_view text);

/// Best first, as the specification sorts them.
void sort_entries(std::vector<LoaderEntry>& entries);

/// The type 1 entries in one directory, unsorted. Errors: image.unsupported: more than
/// kMostMenuFiles, or one that cannot be read.
Result<std::vector<LoaderEntry>> read_entries(const BootVolumes& volumes, std::size_t volume,
                                              const std::string& directory);

/// What systemd-boot would start from the ESP and the extended boot loader partition: the first
/// entry that a `default` pattern of the ESP's loader.conf fits, else the first by order. What
/// firmware variables say (a default that was set by a running system) is not known here. Nothing:
/// there is no entry. Errors: image.unsupported: the entry is one that only firmware or GRUB can
/// start.
Result<std::optional<BootChoice>> choose_loader_entry(const BootVolumes& volumes,
                                                      const BootFirmware& firmware);

/// A unified kernel image's own kernel, initrd and command line.
/// Errors: image.unsupported: none, or one with profiles or add-ons, which only its stub can apply.
Result<BootChoice> open_unified(const BootVolumes& volumes, std::size_t volume,
                                const std::string& path);

}  // namespace ingot::disk
