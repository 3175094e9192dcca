/// NVMe: what a controller and a namespace say about themselves, and what may be done with them.
/// Source: NVM Express Base Specification 2.0c, figures 275 (identify controller) and 278 (sanitize
/// status log); NVM Command Set Specification 1.0c, figure 97 (identify namespace).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/erase/secure.hpp"

namespace ingot::disk {

inline constexpr std::size_t kIdentifyBytes = 4096;

struct NvmeFacts {
  std::uint32_t namespace_id = 0;
  std::vector<std::uint32_t> namespaces;  ///< all that exist behind the controller
  bool format = false;                    ///< OACS bit 1
  bool format_all = false;                ///< FNA bit 0: a format is of all namespaces
  bool erase_all = false;                 ///< FNA bit 1: so is the erase that goes with it
  bool crypto_format = false;             ///< FNA bit 2
  bool crypto_sanitize = false;           ///< SANICAP bit 0
  bool block_sanitize = false;            ///< SANICAP bit 1
  // As formatted now, and to be kept.
  unsigned lba_format = 0;         ///< FLBAS bits 3:0 and 6:5
  bool extended_metadata = false;  ///< FLBAS bit 4
  unsigned protection_type = 0;    ///< DPS bits 2:0
  bool protection_first = false;   ///< DPS bit 3
};

struct SanitizeStatus {
  enum class State { never, completed, running, failed };
  State state = State::never;
  double done = 0;                           ///< 0 to 1, while running
  std::uint32_t block_seconds = UINT32_MAX;  ///< estimates; UINT32_MAX: none
  std::uint32_t crypto_seconds = UINT32_MAX;
};

/// Out of the identify controller and identify namespace structures; both have kIdentifyBytes.
NvmeFacts nvme_facts(std::span<const std::byte> controller, std::span<const std::byte> name_space);
/// Out of an identify list of namespace IDs: ascending, ended by 0.
std::vector<std::uint32_t> nvme_namespace_list(std::span<const std::byte> list);
/// Out of the first 20 bytes of log page 0x81.
SanitizeStatus sanitize_status(std::span<const std::byte> log);

/// What to do, or why nothing can be. Errors: device.unsupported.
Result<SecureErase> choose_nvme_erase(const NvmeFacts& facts, const std::string& path);

/// Asks the namespace that is open as `fd`. Nothing: it is no NVMe namespace.
/// Errors: device.unsupported when it does not answer.
Result<std::optional<NvmeFacts>> ask_nvme(int fd, const std::string& path);
/// Errors: write.erase.
Result<SanitizeStatus> ask_sanitize_status(int fd, const std::string& path);

}  // namespace ingot::disk
