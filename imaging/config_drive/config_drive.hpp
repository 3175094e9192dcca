/// A config drive's content: the small file system, labelled config-2, from which cloud-init and
/// its kin take a machine's user data, meta data and network data at first boot. Where it goes on a
/// disk is decided elsewhere.
///
/// Everything here works in memory: the contents are secrets and touch no disk on the way, no
/// argument list and no message.
/// Source: OpenStack's "Metadata service" and "Config drives" documents; cloud-init's ConfigDrive
/// datasource; what Ironic's conductor sends (an ISO 9660 image, gzip, base64).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/core/units.hpp"
#include "imaging/config_drive/secret_bytes.hpp"

namespace ingot::imaging {

/// The largest config drive, in bytes (Ironic's limit as well).
inline constexpr std::uint64_t kMaxConfigDrive = 64 * MiB;
/// The longest base64 text of one: 4/3 of it, and as much white space as lines of 64 characters
/// with CR and LF take, rounded up.
inline constexpr std::uint64_t kMaxConfigDriveText = 96 * MiB;

/// One config drive as it goes into a partition: a whole file system image.
struct ConfigDrive {
  enum class Kind { iso9660, fat };
  SecretBytes image;  ///< never empty; a multiple of 512 bytes, zero-filled at the end if need be
  Kind kind = Kind::iso9660;
  std::string label;  ///< of the file system, as it may be shown; Linux looks for it
  /// The largest logical sector of a disk, in bytes, from which Linux mounts it: 2048 for ISO 9660,
  /// a FAT's own sector size.
  std::uint32_t sector_size = 2048;

  /// Whether `label` is the one that cloud-init looks for: config-2 in any case. When not, the
  /// caller tells the user: the drive is written all the same.
  [[nodiscard]] bool well_labelled() const;
  /// Whether Linux can mount it from a disk with logical sectors of `sector` bytes.
  [[nodiscard]] bool mounts_at(std::uint32_t sector) const { return sector <= sector_size; }
};

/// Recognises a config drive in `bytes`: an ISO 9660 or FAT image, gzip of one, or base64 text
/// (RFC 4648 section 4, padded or not; white space anywhere) of either. Never more than
/// kMaxConfigDrive bytes come out of any step.
/// Errors: usage.config-drive, saying what the bytes are instead; never the bytes.
Result<ConfigDrive> open_config_drive(std::span<const std::byte> bytes);

/// What goes into a config drive of our own. All but `user_data` are JSON texts, checked before.
struct ConfigDriveFiles {
  SecretBytes meta_data;                    ///< needed; with "uuid", see OpenStack's meta_data.json
  std::optional<SecretBytes> user_data;     ///< any bytes
  std::optional<SecretBytes> network_data;  ///< OpenStack's network_data.json
  std::optional<SecretBytes> vendor_data;
};

/// An OpenStack config drive of them: FAT with sectors of 512 bytes, labelled config-2, everything
/// in openstack/latest/, as Ironic lays it out: cloud-init looks there when it finds no directory
/// with a date it knows. The same input makes the same bytes, whatever the time.
/// Errors: usage.config-drive (more than kMaxConfigDrive in all; mkfs.fat or mtools are not
/// installed), cancelled.
Result<ConfigDrive> build_config_drive(ConfigDriveFiles files, std::stop_token stop);

/// The same files as a FAT file system labelled CONFIG-2 with logical sectors of `sector_size`
/// bytes (512, 1024, 2048 or 4096): for disks from which `drive` cannot be mounted. Long names are
/// kept; links and special files are left out, nobody looks for them on a config drive.
/// `size_limit`: bytes of the partition it must fit into.
/// Errors: usage.config-drive (a damaged image; too large; names that no FAT can hold; mkfs.fat or
/// mtools are not installed).
Result<ConfigDrive> as_fat(const ConfigDrive& drive, std::uint32_t sector_size,
                           std::uint64_t size_limit, std::stop_token stop);

}  // namespace ingot::imaging
