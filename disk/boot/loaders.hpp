/// Which boot entries the files of an EFI system partition ask for. Pure: files are read through a
/// function.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/boot/boot_entries.hpp"

namespace ingot::disk {

inline constexpr std::size_t kMostBootEntries = 16;
inline constexpr std::size_t kMostCsvBytes = 64 * 1024;
inline constexpr std::size_t kLongestLabel = 64;     ///< characters
inline constexpr std::size_t kLongestOptions = 512;  ///< bytes of UTF-8

struct Loaders {
  BootOutcome outcome = BootOutcome::no_loader;
  std::string csv;                 ///< see BootEntries
  std::vector<BootEntry> entries;  ///< the first is to be tried first; partition 0; labels differ
                                   ///< unless a CSV file gives two entries the same
};

/// The content of a file, by its path in the list of files.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

/// The lines of a CSV file in the directory `folder` ("EFI/debian"): UTF-16, `file,label,options,
/// description`. A line counts if its file is one of `files` and its texts fit an entry; of
/// equal ones the first. Source: shim's README.fallback.
std::vector<BootEntry> parse_boot_csv(std::string_view content, std::string_view folder,
                                      const std::vector<std::string>& files);

/// Looks among `files` (paths below \EFI, "EFI/BOOT/BOOTX64.EFI") for the names that Ironic's agent
/// knows. `architecture` is how UEFI calls what this machine's firmware runs: "x64", "aa64",
/// "ia32", …; files for it come first, then those with the shorter path. A CSV file that cannot be
/// read, or has no line that counts, is passed over. Errors: cancelled, and write.boot-entry, from
/// `read`.
Result<Loaders> find_loaders(std::vector<std::string> files, std::string_view architecture,
                             const ReadFile& read);

}  // namespace ingot::disk
