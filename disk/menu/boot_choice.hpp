/// What an installed system would boot: the vocabulary of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "disk/core/units.hpp"
#include "disk/menu/file_tree.hpp"

namespace ingot::disk {

// What a boot menu may have, far beyond what real ones do.
inline constexpr std::size_t kMostMenuBytes = MiB;          ///< one file of a boot menu
inline constexpr std::size_t kMostMenuFiles = 1024;         ///< entries of one directory
inline constexpr std::size_t kMostInitrds = 16;             ///< of one entry
inline constexpr std::size_t kLongestCommandLine = 2047;    ///< x86: COMMAND_LINE_SIZE less its NUL
inline constexpr std::uint64_t kLargestKernel = 512 * MiB;  ///< bytes
inline constexpr std::uint64_t kLargestInitrds = 2048 * MiB;  ///< bytes, all of an entry together

/// What a partition is to boot loaders, by its type.
enum class VolumeRole {
  other,
  system,    ///< EFI system partition
  extended,  ///< extended boot loader partition (XBOOTLDR), or an MBR's partition of type 0xEA
};

/// A file system of the disk, readable.
struct BootVolume {
  FileTree tree;
  unsigned partition = 0;  ///< number from 1; 0: the disk has no partition table
  bool gpt = false;        ///< of a GPT; else of an MBR
  VolumeRole role = VolumeRole::other;
  std::string uuid = {}, label = {};  ///< of the file system, as libblkid writes them; or ""
};
using BootVolumes = std::vector<BootVolume>;

/// A file on a volume, or a stretch of it.
struct BootFile {
  std::size_t volume = 0;  ///< index into BootVolumes
  std::string path;
  std::uint64_t offset = 0;             ///< bytes
  std::optional<std::uint64_t> size{};  ///< bytes; nothing: to its end

  bool operator==(const BootFile&) const = default;
};

/// The entry that the installed boot loader would start if nobody chose another one.
struct BootChoice {
  std::string title;   ///< of the entry, any bytes
  std::string source;  ///< the file that says so, on its volume: "/boot/grub/grub.cfg"
  BootFile kernel;
  std::vector<BootFile> initrds;  ///< loaded one behind the other; may be empty
  std::string command_line;

  /// Whether they boot the same, whatever they are called.
  [[nodiscard]] bool boots_same(const BootChoice& other) const {
    return kernel == other.kernel && initrds == other.initrds && command_line == other.command_line;
  }
};

/// The machine that the disk is in.
struct BootFirmware {
  bool uefi = false;                 ///< it was started by UEFI firmware
  std::string architecture = "x64";  ///< in UEFI's words; GRUB's are "x86_64", by the kernel's
};

}  // namespace ingot::disk
