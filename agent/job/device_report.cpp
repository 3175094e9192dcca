#include "agent/job/device_report.hpp"

#include <utility>

#include "agent/job/root_device_hints.hpp"
#include "disk/inventory/list_disks.hpp"

namespace ingot::agent {
namespace {

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

}  // namespace

Result<DeviceReport> look_at_devices(const std::vector<std::string>& devices,
                                     const std::optional<std::string>& hints,
                                     const std::vector<disk::RootDeviceHints>& except) {
  std::optional<disk::RootDeviceHints> parsed;
  if (hints) {
    INGOT_TRY_ASSIGN(parsed, parse_root_device_hints(*hints));
  }
  disk::InventoryOptions inventory;
  inventory.only = devices;
  DeviceReport report;
  INGOT_TRY_ASSIGN(auto disks, disk::list_disks(inventory));
  report.disks = without(std::move(disks), except);
  if (parsed) report.choice = choose(*parsed, report.disks);
  return report;
}

}  // namespace ingot::agent
