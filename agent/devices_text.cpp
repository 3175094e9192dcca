#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "agent/devices_command.hpp"
#include "agent/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

using disk::Disk;
constexpr std::size_t kColumns = 8;
using Row = std::array<std::string, kColumns>;

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : printable(text);
}

// The kernel's word for it: a virtual disk is often rotational to it.
std::string medium(const Disk& disk) {
  std::string text = disk.type;
  if (disk.type == "disk") text = disk.rotational ? "hdd" : "ssd";
  if (disk.removable) text += ", removable";
  if (disk.read_only) text += ", read-only";
  return text;
}

std::string use(const Disk& disk) {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> shown = disk.users;
  if (shown.size() > kShown) {
    shown.resize(kShown);
    shown.push_back(fmt::format("{} more", disk.users.size() - kShown));
  }
  const std::string text = printable(fmt::format("{}", fmt::join(shown, ", ")));
  if (disk.running_system) return "the running system: " + text;
  return or_dash(text);
}

Row row_of(const Disk& disk) {
  return {
      printable(disk.name), format_bytes(disk.size), medium(disk),        or_dash(disk.transport),
      or_dash(disk.model),  or_dash(disk.serial),    or_dash(disk.table), use(disk)};
}

// As many columns as the terminal needs for it, as fmt counts them when it pads.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string table_of(const std::vector<Disk>& disks) {
  std::vector<Row> rows = {
      {"NAME", "SIZE", "MEDIUM", "TRANSPORT", "MODEL", "SERIAL", "TABLE", "USED BY"}};
  for (const Disk& disk : disks) rows.push_back(row_of(disk));
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i)
      text += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
    text += row.back() + '\n';
  }
  return text;
}

std::string choice_of(const HintedChoice& choice, const std::vector<Disk>& disks) {
  // Why not, and what would choose each, is the error that follows.
  if (choice.no_match) return "\nThe root device hints choose no disk.\n";
  std::string text = fmt::format("\nThe root device hints choose {}.\n", printable(choice.chosen));
  for (std::size_t i = 0; i < disks.size(); ++i) {
    if (disks[i].name == choice.chosen) continue;
    text += fmt::format("  not {}: {}\n", printable(disks[i].name),
                        choice.excluded_by[i].empty() ? "another one comes first"
                                                      : printable(choice.excluded_by[i]));
  }
  return text;
}

}  // namespace

std::string to_text(const DeviceReport& report) {
  std::string text = report.disks.empty() ? "This machine has no disks.\n" : table_of(report.disks);
  if (report.choice) text += choice_of(*report.choice, report.disks);
  return text;
}

}  // namespace ingot::agent
