#include "agent/target_choice.hpp"

#include <fmt/format.h>

#include "agent/text.hpp"
#include "disk/core/units.hpp"
#include "disk/inventory/list_disks.hpp"

namespace ingot::agent {

Result<TargetOptions> choose_target(TargetOptions target) {
  if (!target.hints) return target;
  disk::InventoryOptions inventory;
  inventory.only = target.only;
  INGOT_TRY_ASSIGN(const auto disks, disk::list_disks(inventory));
  INGOT_TRY_ASSIGN(const disk::Disk disk, target.hints->choose(disks));
  target.device = disk.name;
  target.chosen = disk.identity();
  std::string what =
      fmt::format("root device hints choose {}, {}", disk.name, format_bytes(disk.size));
  if (!disk.model.empty()) what += ", " + printable(disk.model);
  if (!target.chosen->serial.empty()) what += ", serial " + printable(target.chosen->serial);
  say(what);
  return target;
}

}  // namespace ingot::agent
