#include "agent/cli/device_report_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "agent/text/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
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

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::object to_object(const Disk& disk) {
  return {{"name", disk.name},
          {"kname", disk.kname},
          {"device_number", fmt::format("{}:{}", major(disk.number), minor(disk.number))},
          {"sequence", disk.sequence == 0 ? json::value(nullptr) : json::value(disk.sequence)},
          {"type", disk.type},
          {"size", disk.size},
          {"logical_sector_size", disk.logical_sector},
          {"physical_sector_size", disk.physical_sector},
          {"rotational", disk.rotational},
          {"removable", disk.removable},
          {"read_only", disk.read_only},
          {"transport", or_null(disk.transport)},
          {"model", or_null(disk.model)},
          {"vendor", or_null(disk.vendor)},
          {"serial", or_null(disk.serial)},
          {"udev_serial_short", or_null(disk.udev_serial_short)},
          {"udev_serial", or_null(disk.udev_serial)},
          {"wwn", or_null(disk.wwn)},
          {"udev_wwn", or_null(disk.udev_wwn)},
          {"wwn_with_extension", or_null(disk.wwn_with_extension)},
          {"wwn_vendor_extension", or_null(disk.wwn_vendor_extension)},
          {"hctl", or_null(disk.hctl)},
          {"by_path", or_null(disk.by_path)},
          {"by_path_links", json::value_from(disk.by_path_links)},
          {"by_id", json::value_from(disk.by_id)},
          {"table", or_null(disk.table)},
          {"table_id", or_null(disk.table_id)},
          {"users", json::value_from(disk.users)},
          {"running_system", disk.running_system}};
}

}  // namespace

std::string to_text(const DeviceReport& report) {
  std::string text = report.disks.empty() ? "This machine has no disks.\n" : table_of(report.disks);
  if (report.choice) text += choice_of(*report.choice, report.disks);
  return text;
}

std::string to_json(const DeviceReport& report) {
  json::array disks;
  for (std::size_t i = 0; i < report.disks.size(); ++i) {
    json::object disk = to_object(report.disks[i]);
    if (report.choice) disk["excluded_by"] = or_null(report.choice->excluded_by[i]);
    disks.push_back(std::move(disk));
  }
  json::object object = {{"disks", std::move(disks)}};
  if (report.choice) object["chosen"] = or_null(report.choice->chosen);
  return json::serialize(object);
}

}  // namespace ingot::agent
