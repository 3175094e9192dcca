#include "agent/cli/target_summary.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "agent/text/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kSysfsSector = 512;  // sysfs counts in these whatever the device's own is

// The first line of a small text file, or "".
std::string line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  line.resize(std::min<std::size_t>(line.size(), 256));
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return printable(line);
}

std::uint64_t number_of(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return file ? number : 0;
}

// udev's properties of a device: ID_FS_TYPE and ID_FS_LABEL. Source: libudev's database under
// /run/udev/data, one "E:KEY=value" a line.
std::string content_of(const std::string& device_number) {
  std::ifstream file("/run/udev/data/b" + device_number);
  std::string type, label, table;
  for (std::string line; std::getline(file, line);) {
    const auto value = [&line](std::string_view key) -> const char* {
      return line.starts_with(key) ? line.c_str() + key.size() : nullptr;
    };
    if (const char* found = value("E:ID_FS_TYPE=")) type = found;
    if (const char* found = value("E:ID_FS_LABEL=")) label = found;
    if (const char* found = value("E:ID_PART_TABLE_TYPE=")) table = found;
  }
  if (type.empty()) type = table.empty() ? "" : table + " partition table";
  return printable(label.empty() ? type : fmt::format("{} '{}'", type, label));
}

}  // namespace

TargetSummary summarise_block_device(dev_t device) {
  const std::string number = fmt::format("{}:{}", major(device), minor(device));
  const fs::path root = fs::path("/sys/dev/block") / number;
  TargetSummary target;
  target.size = number_of(root / "size") * kSysfsSector;
  target.model = line_of(root / "device/model");
  if (const auto vendor = line_of(root / "device/vendor");
      !vendor.empty() && !vendor.starts_with("0x"))
    target.model = target.model.empty() ? vendor : vendor + ' ' + target.model;
  if (const auto file = line_of(root / "loop/backing_file"); !file.empty())
    target.model = "loop device on " + file;
  if (const auto name = line_of(root / "dm/name"); !name.empty()) target.model = "mapped " + name;
  target.serial = line_of(root / "device/serial");
  if (target.serial.empty()) target.serial = line_of(root / "serial");
  target.content = content_of(number);

  std::error_code error;
  std::vector<std::pair<std::uint64_t, PartitionSummary>> found;
  for (fs::directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!fs::exists(entry->path() / "partition", error)) continue;
    PartitionSummary partition;
    partition.name = printable(entry->path().filename().string());
    partition.size = number_of(entry->path() / "size") * kSysfsSector;
    partition.content = content_of(line_of(entry->path() / "dev"));
    found.emplace_back(number_of(entry->path() / "start"), std::move(partition));
  }
  std::ranges::sort(found, {}, &std::pair<std::uint64_t, PartitionSummary>::first);
  for (auto& [start, partition] : found) target.partitions.push_back(std::move(partition));
  return target;
}

std::string describe(const std::string& path, const TargetSummary& target) {
  std::string text = fmt::format("{}: {}", printable(path), format_bytes(target.size));
  if (!target.model.empty()) text += ", " + target.model;
  if (!target.serial.empty()) text += ", serial " + target.serial;
  if (target.partitions.empty())
    text += target.content.empty() ? ", no partitions" : ", " + target.content;
  text += '\n';
  std::size_t width = 0;
  for (const auto& partition : target.partitions) width = std::max(width, partition.name.size());
  for (const auto& partition : target.partitions)
    text +=
        fmt::format("  {:<{}}  {:>10}  {}\n", partition.name, width, format_bytes(partition.size),
                    partition.content.empty() ? "-" : partition.content);
  return text;
}

}  // namespace ingot::agent
