#include "agent/devices_command.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <boost/json.hpp>

#include "agent/root_device_hints.hpp"
#include "disk/inventory/list_disks.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
using disk::Disk;

HintedChoice choose(const disk::RootDeviceHints& hints, const std::vector<Disk>& disks) {
  HintedChoice choice;
  for (const Disk& disk : disks) choice.excluded_by.push_back(hints.why_not(disk));
  const auto chosen = hints.choose(disks);
  if (chosen)
    choice.chosen = chosen->name;
  else
    choice.no_match = chosen.error();
  return choice;
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

Result<DeviceReport> look_at_devices(const DevicesOptions& options) {
  std::optional<disk::RootDeviceHints> hints;
  if (options.root_device_hints) {
    INGOT_TRY_ASSIGN(hints, parse_root_device_hints(*options.root_device_hints));
  }
  disk::InventoryOptions inventory;
  inventory.only = options.devices;
  DeviceReport report;
  INGOT_TRY_ASSIGN(report.disks, disk::list_disks(inventory));
  if (hints) report.choice = choose(*hints, report.disks);
  return report;
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
