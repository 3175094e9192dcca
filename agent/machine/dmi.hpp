/// The firmware's table of hardware (SMBIOS, DMTF DSP0134 3.7), as far as inspection needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::agent {

/// One structure: the formatted area with its header, and the texts behind it.
struct DmiStructure {
  std::uint8_t type = 0;
  std::string data;
  std::vector<std::string> strings;  ///< cleaned; the first is number 1

  /// A little-endian number of `bytes` (1 to 8) at an offset; nothing beyond the structure's end.
  [[nodiscard]] std::optional<std::uint64_t> number(std::size_t offset, std::size_t bytes) const;
  /// The text whose number is at `offset`, or "".
  [[nodiscard]] std::string text(std::size_t offset) const;
};

/// The structures of a table, up to its end or the first that is malformed.
[[nodiscard]] std::vector<DmiStructure> parse_dmi(std::string_view table);

/// Those of `sysfs`: of firmware/dmi/entries (module dmi-sysfs), else of firmware/dmi/tables/DMI.
[[nodiscard]] std::vector<DmiStructure> read_dmi(const std::filesystem::path& sysfs);

/// MiB in all memory devices of the system's memory together; nothing if the table names none.
[[nodiscard]] std::optional<std::uint64_t> memory_devices_mib(
    const std::vector<DmiStructure>& table);

/// What the first processor calls itself, or "".
[[nodiscard]] std::string processor_version(const std::vector<DmiStructure>& table);

/// The server and its firmware; "" for what is not known.
struct SystemVendor {
  std::string product_name, serial_number, manufacturer;
  std::string firmware_vendor, firmware_version, firmware_build_date;
};

/// Of `sysfs`/class/dmi/id.
[[nodiscard]] SystemVendor read_system_vendor(const std::filesystem::path& sysfs);

}  // namespace ingot::agent
