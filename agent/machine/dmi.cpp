#include "agent/machine/dmi.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

#include "agent/machine/kernel_text.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHeader = 4;  // type, length, handle
constexpr std::size_t kLongestTable = 1U << 20;
constexpr std::size_t kMostEntries = 8192;

constexpr std::uint8_t kProcessor = 4;
constexpr std::uint8_t kMemoryArray = 16;
constexpr std::uint8_t kMemoryDevice = 17;
constexpr std::uint8_t kEndOfTable = 127;

constexpr std::uint64_t kUseSystemMemory = 3;

// The size of one memory device (7.18.4, 7.18.5); 0 for an empty socket and an unknown size.
std::uint64_t size_mib(const DmiStructure& device) {
  const std::uint64_t size = device.number(0x0C, 2).value_or(0);
  if (size == 0xFFFF) return 0;
  if (size == 0x7FFF) return device.number(0x1C, 4).value_or(0) & 0x7FFFFFFFU;
  return (size & 0x8000U) != 0 ? (size & 0x7FFFU) / 1024 : size;
}

}  // namespace

std::optional<std::uint64_t> DmiStructure::number(std::size_t offset, std::size_t bytes) const {
  if (offset > data.size() || bytes > data.size() - offset) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i > 0; --i)
    value = value << 8 | static_cast<unsigned char>(data[offset + i - 1]);
  return value;
}

std::string DmiStructure::text(std::size_t offset) const {
  const auto index = number(offset, 1).value_or(0);
  return index == 0 || index > strings.size() ? std::string() : strings[index - 1];
}

std::vector<DmiStructure> parse_dmi(std::string_view table) {
  std::vector<DmiStructure> found;
  while (table.size() >= kHeader && found.size() < kMostEntries) {
    DmiStructure one;
    one.type = static_cast<std::uint8_t>(table[0]);
    const std::size_t length = static_cast<unsigned char>(table[1]);
    if (length < kHeader || length > table.size()) break;
    one.data = table.substr(0, length);
    table.remove_prefix(length);
    // Texts end in NUL, and the list of them in one more; without texts it is two.
    bool ended = false;
    while (!ended) {
      const auto end = table.find('\0');
      if (end == std::string_view::npos) return found;
      if (end > 0) one.strings.push_back(clean_text(table.substr(0, end)));
      ended = end == 0;
      table.remove_prefix(end + 1);
    }
    if (one.strings.empty() && !table.empty() && table.front() == '\0') table.remove_prefix(1);
    if (one.type == kEndOfTable) break;
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<DmiStructure> read_dmi(const fs::path& sysfs) {
  const fs::path firmware = sysfs / "firmware/dmi";
  std::vector<DmiStructure> found;
  for (const auto& name : names_in(firmware / "entries")) {
    if (found.size() >= kMostEntries) break;
    // "17-0": the type, and which one of it. Firmware's logs may be large and slow to read.
    if (!name.starts_with("4-") && !name.starts_with("16-") && !name.starts_with("17-")) continue;
    auto one = parse_dmi(read_bytes(firmware / "entries" / name / "raw", kLongestTable));
    std::move(one.begin(), one.end(), std::back_inserter(found));
  }
  if (found.empty()) found = parse_dmi(read_bytes(firmware / "tables/DMI", kLongestTable));
  return found;
}

std::optional<std::uint64_t> memory_devices_mib(const std::vector<DmiStructure>& table) {
  std::map<std::uint64_t, std::uint64_t> use_of_array;  // by handle
  for (const auto& one : table)
    if (one.type == kMemoryArray)
      if (const auto handle = one.number(0x02, 2), use = one.number(0x05, 1); handle && use)
        use_of_array[*handle] = *use;
  std::uint64_t sum = 0;
  for (const auto& one : table) {
    if (one.type != kMemoryDevice) continue;
    // The chip with the firmware in it is a memory device as well, of an array of its own.
    const auto array = use_of_array.find(one.number(0x04, 2).value_or(0));
    if (array == use_of_array.end() || array->second == kUseSystemMemory) sum += size_mib(one);
  }
  return sum == 0 ? std::nullopt : std::optional(sum);
}

std::string processor_version(const std::vector<DmiStructure>& table) {
  for (const auto& one : table)
    if (one.type == kProcessor)
      if (std::string version = one.text(0x10); !version.empty()) return version;
  return {};
}

SystemVendor read_system_vendor(const fs::path& sysfs) {
  const fs::path id = sysfs / "class/dmi/id";
  return {read_text(id / "product_name"), read_text(id / "product_serial"),
          read_text(id / "sys_vendor"),   read_text(id / "bios_vendor"),
          read_text(id / "bios_version"), read_text(id / "bios_date")};
}

}  // namespace ingot::agent
