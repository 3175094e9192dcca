/// Sections of a PE file, such as a unified kernel image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

struct PeSection {
  std::string name;          ///< ".linux"; at most 8 bytes
  std::uint64_t offset = 0;  ///< in the file, bytes
  std::uint64_t size = 0;    ///< bytes in the file that count; padding does not

  bool operator==(const PeSection&) const = default;
};

/// The section table of the regular file `fd`, which stays the caller's and keeps its position.
/// Every section lies within the file; at most 96 of them, which is the loader's own limit.
/// Errors: image.unsupported: no PE file, or a section outside the file. `name` is for messages.
/// Source: Microsoft's PE Format; UAPI.5, Unified Kernel Image.
Result<std::vector<PeSection>> read_pe_sections(int fd, const std::string& name);

}  // namespace ingot::disk
