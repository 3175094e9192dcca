#include "agent/job/boot_entries.hpp"

#include <fmt/format.h>

#include <utility>

#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

std::string how(const disk::BootEntries& made) {
  switch (made.outcome) {
    case disk::BootOutcome::bios:
      return "BIOS: nothing to do";
    case disk::BootOutcome::no_loader:
      return "UEFI: no loader on the EFI system partition";
    case disk::BootOutcome::from_csv:
      return fmt::format("UEFI: as {} lists them", made.csv);
    case disk::BootOutcome::from_loaders:
      return "UEFI: one entry for each loader";
  }
  return {};
}

}  // namespace

Result<BootEntriesResult> install_boot_entries(const std::string& device,
                                               const BootEntriesRequest& request,
                                               std::stop_token stop) {
  disk::BootEntriesOptions options;
  options.partition_uuid = request.efi_system_part_uuid;
  options.sysfs = request.sysfs;
  options.efibootmgr = request.efibootmgr;
  INGOT_TRY_ASSIGN(auto made, disk::make_boot_entries(device, options, std::move(stop)));
  return BootEntriesResult{how(made), std::move(made.created), std::move(made.removed)};
}

std::string describe(const BootEntriesResult& result) {
  std::string text = result.how;
  const char* before = ": ";
  for (const BootEntry& entry : result.created) {
    text += fmt::format("{}'{}' ({} on partition {})", before, printable(entry.label),
                        printable(entry.loader), entry.partition);
    before = ", ";
  }
  before = "; removed ";
  for (const std::string& removed : result.removed) {
    text += before + printable(removed);
    before = ", ";
  }
  return text;
}

}  // namespace ingot::agent
