/// What a disk can do to erase itself, and having it done.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/error.hpp"
#include "disk/erase/watch.hpp"

namespace ingot::disk {

/// The way that was chosen for one disk.
struct SecureErase {
  enum class Way { nvme_format, nvme_sanitize, ata_security };
  Way way = Way::nvme_format;
  std::string how;                   ///< "NVMe format, cryptographic erase"
  std::chrono::minutes expected{0};  ///< by the disk's own estimate; 0: it gives none
  std::vector<std::string> program;  ///< nvme's arguments, without the device
  bool enhanced = false;             ///< ATA
  bool locked = false;               ///< ATA: left locked by an erase that did not end
};

/// Asks the disk itself (NVMe identify, ATA identify) what it has, and chooses: NVMe format with a
/// cryptographic erase, else of user data, else a cryptographic or block sanitize; ATA enhanced
/// security erase, else the normal one. Changes nothing.
/// Errors: device.unsupported, naming why: no such disk, frozen, locked, other namespaces that
/// would be erased as well, the program is missing.
Result<SecureErase> find_secure_erase(const Claim& target);

/// Has it done and waits for it, bounded: by the disk's estimate, at most a day. Once begun it
/// cannot be ended; `watch` gets a note now and then. Errors: write.erase with what the disk or the
/// program said, cancelled (before it begins).
Result<void> run_secure_erase(const Claim& target, const SecureErase& erase, Watch& watch);

}  // namespace ingot::disk
