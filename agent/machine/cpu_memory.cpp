#include "agent/machine/cpu_memory.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <system_error>

#include "agent/machine/kernel_text.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestCpuinfo = 4U << 20;  // 1.5 KiB for each of some thousand CPUs
constexpr std::uint64_t kMostCpus = 65536;

// The value of the first line "key : value", or "".
std::string value_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (clean_text(line.substr(0, colon)) == key) return clean_text(line.substr(colon + 1));
  }
  return {};
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

// How many numbers a list such as "0-3,8" holds; 0 if it is no list.
std::uint64_t count_of_list(std::string_view list) {
  std::uint64_t count = 0;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const std::string_view range = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto dash = range.find('-');
    const auto first = to_number(range);
    const auto last = dash == std::string_view::npos ? first : to_number(range.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= kMostCpus) return 0;
    count += *last - *first + 1;
  }
  return count;
}

bool is_cpu(std::string_view name) {
  return name.starts_with("cpu") && name.size() > 3 &&
         name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

std::uint64_t count_processors(std::string_view cpuinfo) {
  std::uint64_t count = 0;
  for (std::size_t at = 0; at < cpuinfo.size();) {
    if (cpuinfo.substr(at).starts_with("processor")) ++count;
    at = std::min(cpuinfo.find('\n', at), cpuinfo.size() - 1) + 1;
  }
  return count;
}

std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> found;
  for (std::size_t at = 0; (at = line.find_first_not_of(' ', at)) != std::string::npos;) {
    const auto end = std::min(line.find(' ', at), line.size());
    found.push_back(line.substr(at, end - at));
    at = end;
  }
  return found;
}

// Of the blocks of memory that the kernel can put to use one by one; 0 where it has none.
std::uint64_t memory_blocks(const fs::path& sysfs) {
  const fs::path folder = sysfs / "devices/system/memory";
  const std::string text = read_text(folder / "block_size_bytes");  // hexadecimal without 0x
  std::uint64_t block = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), block, 16);
  if (error != std::errc() || end != text.data() + text.size()) return 0;
  std::uint64_t online = 0;
  for (const auto& name : names_in(folder))
    if (name.starts_with("memory") && read_text(folder / name / "state") == "online") ++online;
  return block > UINT64_MAX / kMostCpus ? 0 : block * online;
}

}  // namespace

Cpu read_cpu(const fs::path& proc, const fs::path& sysfs, const std::vector<DmiStructure>& dmi) {
  const std::string cpuinfo = read_bytes(proc / "cpuinfo", kLongestCpuinfo);
  const fs::path folder = sysfs / "devices/system/cpu";
  Cpu cpu;
  cpu.model_name = value_of(cpuinfo, "model name");
  if (cpu.model_name.empty()) cpu.model_name = processor_version(dmi);
  cpu.flags = words(value_of(cpuinfo, "flags"));
  if (cpu.flags.empty()) cpu.flags = words(value_of(cpuinfo, "Features"));  // ARM's

  std::uint64_t highest = 0;  // kHz
  std::set<std::uint64_t> packages;
  for (const auto& name : names_in(folder)) {
    if (!is_cpu(name)) continue;
    const auto most = read_number(folder / name / "cpufreq/cpuinfo_max_freq");
    highest = std::max(highest, most.value_or(0));
    // -1 where the firmware does not say.
    if (const auto package = read_number(folder / name / "topology/physical_package_id"))
      packages.insert(*package);
  }
  cpu.frequency = highest > 0 ? fmt::format("{}.{:04}", highest / 1000, highest % 1000 * 10)
                              : value_of(cpuinfo, "cpu MHz");
  if (!packages.empty()) cpu.socket_count = packages.size();

  cpu.count = count_of_list(read_text(folder / "present"));
  if (cpu.count == 0) cpu.count = count_processors(cpuinfo);
  utsname system{};
  if (::uname(&system) == 0) cpu.architecture = clean_text(system.machine);
  return cpu;
}

Memory read_memory(const fs::path& proc, const fs::path& sysfs,
                   const std::vector<DmiStructure>& dmi) {
  constexpr std::uint64_t kMib = 1U << 20;
  Memory memory;
  const auto kib = to_number(value_of(read_bytes(proc / "meminfo", 65536), "MemTotal"));
  if (kib && *kib <= UINT64_MAX / 1024) memory.total = *kib * 1024;
  memory.physical_mb = memory_devices_mib(dmi);
  if (!memory.physical_mb) {
    const std::uint64_t blocks = memory_blocks(sysfs);
    const std::uint64_t bytes = blocks >= memory.total ? blocks : memory.total;
    if (bytes > 0) memory.physical_mb = bytes / kMib + (bytes % kMib != 0 ? 1 : 0);
  }
  return memory;
}

}  // namespace ingot::agent
