/// ATA: the Security feature set of a disk. Source: ATA/ATAPI Command Set 3 (ACS-3), 4.20
/// (Security) and 7.12.7 (IDENTIFY DEVICE); SAT-3 12.2 (ATA PASS-THROUGH).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "disk/core/error.hpp"
#include "disk/erase/secure.hpp"

namespace ingot::disk {

inline constexpr std::size_t kAtaIdentifyWords = 256;

struct AtaSecurity {
  bool supported = false;
  bool enabled = false;  ///< a user password is set
  bool locked = false;
  bool frozen = false;
  bool expired = false;                                   ///< too many wrong passwords
  bool enhanced = false;                                  ///< an enhanced erase is supported
  std::chrono::minutes normal_time{0}, enhanced_time{0};  ///< 0: not said
};

/// Out of the 256 words of IDENTIFY DEVICE.
AtaSecurity ata_security(std::span<const std::uint16_t> identify);

/// What to do, or why nothing can be. Errors: device.unsupported.
Result<SecureErase> choose_ata_erase(const AtaSecurity& security, const std::string& path);

/// Asks the disk that is open as `fd`, past what the kernel remembers. Nothing: it is no ATA disk.
std::optional<AtaSecurity> ask_ata(int fd);

}  // namespace ingot::disk
