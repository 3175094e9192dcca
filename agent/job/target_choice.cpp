#include "agent/job/target_choice.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <utility>

#include "agent/job/root_device_hints.hpp"
#include "agent/text/text.hpp"
#include "disk/core/units.hpp"
#include "disk/identity.hpp"
#include "disk/inventory/list_disks.hpp"

namespace ingot::agent {

Result<TargetOptions> choose_target(TargetOptions target, JobOwner& owner) {
  if (!target.hints) return target;
  disk::InventoryOptions inventory;
  inventory.only = target.only;
  INGOT_TRY_ASSIGN(auto listed, disk::list_disks(inventory));
  const auto disks = without(std::move(listed), target.except);
  INGOT_TRY_ASSIGN(const disk::Disk disk, target.hints->choose(disks));
  target.device = disk.name;
  target.chosen = disk.identity();
  std::string what =
      fmt::format("root device hints choose {}, {}", disk.name, format_bytes(disk.size));
  if (!disk.model.empty()) what += ", " + printable(disk.model);
  if (!target.chosen->serial.empty()) what += ", serial " + printable(target.chosen->serial);
  owner.on_remark(what);
  return target;
}

Result<TargetOptions> confirm_target(TargetOptions target, JobOwner& owner,
                                     const std::stop_token& stop) {
  struct stat now {};
  // What is missing is the claim's to report.
  const bool block = ::stat(target.device.c_str(), &now) == 0 && S_ISBLK(now.st_mode);
  if (!block) return target;
  if (target.size)
    return fail(Errc::usage_option,
                fmt::format("--size is for regular files, and {} is a disk", target.device),
                "leave it out, or name a file that does not exist yet");
  // Before the question: its answer is about what is shown now.
  if (!target.chosen) target.chosen = disk::identity_of(now.st_rdev);
  if (!target.yes && !target.dry_run) INGOT_TRY(owner.confirm(target.device, stop));
  return target;
}

}  // namespace ingot::agent
