#include "agent/ironic/cleaning.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/ironic/image_order.hpp"
#include "agent/job/device_report.hpp"
#include "agent/job/job.hpp"
#include "agent/job/root_device_hints.hpp"
#include "agent/report/event.hpp"
#include "agent/text/json_object.hpp"
#include "agent/text/text.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

using disk::Disk;
using disk::EraseMethod;

constexpr std::uint64_t kLargestMedium = 4ULL << 30;
constexpr const char* kPstore = "/sys/fs/pstore";

// Types of partitions and signatures whose disks other machines may be using right now.
constexpr std::array<std::string_view, 3> kSharedPartitions{
    "37affc90-ef7d-4e96-91c3-2d7ae055b174",  // IBM GPFS
    "aa31e02a-400f-11db-9590-000c2911d1b8",  // VMFS
    "0xfb"};                                 // VMFS in an MBR
constexpr std::array<std::string_view, 4> kSharedSignatures{"gfs2", "gfs", "VMFS",
                                                            "VMFS_volume_member"};

std::string shared_file_system(const ErasedDisk& found) {
  for (const auto& type : found.partition_types)
    if (std::ranges::count(kSharedPartitions, type) > 0) return "a partition of type " + type;
  for (const auto& signature : found.signatures)
    if (std::ranges::count(kSharedSignatures, signature.type) > 0)
      return signature.type + " on " + signature.where;
  return {};
}

// What the node's record says of erasing.
struct EraseWishes {
  bool guard = true;
  bool nvme_itself = true, ata_itself = true;  // disks may erase themselves
  bool else_overwrite = false;                 // where that fails
};

EraseWishes wishes_of(const json::object& node, const AgentOptions& options) {
  EraseWishes wishes;
  wishes.guard = options.guard_special_filesystems;
  if (const json::object* info = object_in(node, "driver_internal_info")) {
    const auto flag = [info](std::string_view name, bool otherwise) {
      return bool_in(*info, name).value_or(otherwise);
    };
    wishes.guard = wishes.guard && flag("wipe_special_filesystems", true);
    wishes.nvme_itself = flag("agent_enable_nvme_secure_erase", true);
    wishes.ata_itself = flag("agent_enable_ata_secure_erase", true);
    wishes.else_overwrite = flag("agent_continue_if_secure_erase_failed", false);
  }
  return wishes;
}

bool uses_contain(const Disk& disk, std::string_view text) {
  return std::ranges::any_of(
      disk.users, [&](const std::string& use) { return use.find(text) != std::string::npos; });
}

// Why a disk is passed over, or "".
std::string passed_over(const Disk& disk) {
  if (disk.read_only) return "it is read-only";
  if (uses_contain(disk, "part of md")) return "it is a member of an array";
  if (disk.removable && disk.running_system) return "it holds the running system, and is removable";
  std::error_code error;
  // A tenant can give any disk that label, but no disk that size and bus.
  if (disk.transport == "usb" && disk.size < kLargestMedium &&
      fs::canonical("/dev/disk/by-label/ir-vfd-dev", error) == disk.name && !error)
    return "it brought the agent's parameters";
  return {};
}

class Eraser {
 public:
  Eraser(const AgentOptions& options, NodeState& state, const StepCall& call, std::string step)
      : options_(options),
        state_(state),
        node_(call.node),
        stop_(call.stop),
        step_(std::move(step)),
        wishes_(wishes_of(call.node, options)) {}

  // Erases each disk with the first of its methods that it can do; what each did, by name.
  template <class Methods>
  tl::expected<json::object, AgentError> run(Methods methods_of) {
    auto disks = targets();
    if (!disks) return tl::unexpected(agent_error(disks.error()));
    if (wishes_.guard)
      for (const Disk& disk : *disks)
        if (auto guarded = guard(disk)) return tl::unexpected(*std::move(guarded));
    json::object done;
    std::vector<std::string> failed;
    for (const Disk& disk : *disks) {
      if (stop_.stop_requested()) break;
      const auto how = erase(disk, methods_of(disk, wishes_));
      if (how)
        done[disk.name] = *how;
      else
        failed.push_back(fmt::format("{}: {}", disk.name, how.error().details));
    }
    state_.set_job(nullptr);
    if (stop_.stop_requested())
      return tl::unexpected(failure("CleaningError", "the agent was stopped meanwhile"));
    if (!failed.empty())
      return tl::unexpected(
          failure("BlockDeviceEraseError", fmt::format("{}", fmt::join(failed, "; "))));
    return done;
  }

 private:
  Result<std::vector<Disk>> targets() const {
    INGOT_TRY_ASSIGN(auto report, look_at_devices(options_.only_disks, std::nullopt));
    INGOT_TRY_ASSIGN(const auto skipped, skipped_disks_of(node_));
    std::vector<Disk> disks;
    for (Disk& disk : report.disks) {
      std::string why = passed_over(disk);
      if (without({disk}, skipped).empty()) why = "skip_block_devices names it";
      if (why.empty())
        disks.push_back(std::move(disk));
      else
        say(fmt::format("{}: {} is passed over: {}", step_, disk.name, why));
    }
    std::ranges::sort(disks, std::ranges::greater{}, &Disk::name);
    return disks;
  }

  std::optional<AgentError> guard(const Disk& disk) {
    const auto found = job(disk, EraseMethod::metadata, true);
    if (found.error || !found.erased) {
      // Whatever hinders the look may have passed by the time it is erased.
      unseen_.emplace(disk.name, found.error ? agent_error(*found.error)
                                             : failure("BlockDeviceEraseError", "not looked at"));
      return std::nullopt;
    }
    const std::string shared = shared_file_system(*found.erased);
    if (shared.empty()) return std::nullopt;
    return failure(
        "ProtectedDeviceError",
        fmt::format("{} holds {}, which other machines may be using: nothing was erased. "
                    "Disconnect it, name it in the node's skip_block_devices, or set "
                    "wipe_special_filesystems to false in driver_internal_info",
                    disk.name, shared));
  }

  tl::expected<std::string, AgentError> erase(const Disk& disk,
                                              const std::vector<EraseMethod>& methods) {
    if (const auto unseen = unseen_.find(disk.name); unseen != unseen_.end())
      return tl::unexpected(unseen->second);
    AgentError last = failure("BlockDeviceEraseError", "no method is permitted");
    for (std::size_t i = 0; i < methods.size(); ++i) {
      const JobResult result = job(disk, methods[i], false);
      if (!result.error)
        return result.erased && !result.erased->how.empty() ? result.erased->how
                                                            : std::string(name(methods[i]));
      last = agent_error(*result.error);
      // A disk that cannot do it is as it was; one that failed at it may not be touched further.
      const bool cannot = result.error->code() == Errc::device_unsupported;
      if (!cannot && !wishes_.else_overwrite) break;
      if (i + 1 < methods.size())
        say(fmt::format("{}: {}: {}; going on with {}", step_, disk.name, last.details,
                        name(methods[i + 1])));
    }
    return tl::unexpected(std::move(last));
  }

  JobResult job(const Disk& disk, EraseMethod method, bool dry_run) {
    EraseRequest request;
    request.target.device = disk.name;
    request.target.chosen = disk.identity();
    request.target.yes = true;
    // What old metadata on the disk assembled, nobody needs; the running system's stays refused.
    request.target.force = true;
    request.target.dry_run = dry_run;
    request.method = method;
    const auto watch = std::make_shared<JobWatch>(dry_run ? step_ + " (looking)" : step_);
    state_.set_job(watch);
    const LogScope scope(random_uuid());
    FirstError first;
    const std::stop_callback stopped(
        stop_, [&first] { first.report(Error(Errc::cancelled, "the agent was stopped")); });
    return run_job(request, {watch->counters(), *watch, first});
  }

  const AgentOptions& options_;
  NodeState& state_;
  const json::object& node_;
  const std::stop_token& stop_;
  const std::string step_;
  const EraseWishes wishes_;
  std::map<std::string, AgentError> unseen_;  // disks that the guard could not look at
};

using Methods = std::vector<EraseMethod>;

bool may_erase_itself(const Disk& disk, const EraseWishes& wishes) {
  return disk.transport == "nvme" ? wishes.nvme_itself : wishes.ata_itself;
}

CommandOutcome erase_pstore(const AgentOptions& options) {
  if (options.power == PowerMode::exit) {
    say("erase_pstore: the firmware's memory is left alone, as --power exit says");
    return "null";
  }
  std::error_code error;
  std::vector<std::string> failed;
  for (const auto& entry : fs::directory_iterator(kPstore, error)) {
    std::error_code removal;
    if (!fs::remove_all(entry.path(), removal) || removal)
      failed.push_back(entry.path().filename().string());
  }
  if (!failed.empty())
    return tl::unexpected(failure(
        "CleaningError", fmt::format("erasing {}: {} stayed", kPstore, fmt::join(failed, ", "))));
  return "null";
}

}  // namespace

std::vector<Step> cleaning_steps(const AgentOptions& options, NodeState& node) {
  const auto eraser = [&options, &node](const StepCall& call, const char* step) {
    return Eraser(options, node, call, step);
  };
  std::vector<Step> steps;
  steps.push_back(
      {.name = "erase_devices",
       .clean = 10,
       .abortable = true,
       .run = [eraser](const StepCall& call) -> CommandOutcome {
         auto done =
             eraser(call, "erase_devices").run([](const Disk& disk, const EraseWishes& wishes) {
               return may_erase_itself(disk, wishes)
                          ? Methods{EraseMethod::secure, EraseMethod::zero}
                          : Methods{EraseMethod::zero};
             });
         if (!done) return tl::unexpected(done.error());
         return json::serialize(*done);
       }});
  steps.push_back(
      {.name = "erase_devices_metadata",
       .clean = 99,
       .deploy = 0,
       .abortable = true,
       .run = [eraser](const StepCall& call) -> CommandOutcome {
         auto done =
             eraser(call, "erase_devices_metadata").run([](const Disk&, const EraseWishes&) {
               return Methods{EraseMethod::metadata};
             });
         if (!done) return tl::unexpected(done.error());
         return "null";
       }});
  steps.push_back({.name = "erase_devices_express",
                   .clean = 0,
                   .abortable = true,
                   .run = [eraser](const StepCall& call) -> CommandOutcome {
                     auto done =
                         eraser(call, "erase_devices_express")
                             .run([](const Disk& disk, const EraseWishes& wishes) {
                               return disk.transport == "nvme" && wishes.nvme_itself
                                          ? Methods{EraseMethod::secure, EraseMethod::metadata}
                                          : Methods{EraseMethod::metadata};
                             });
                     if (!done) return tl::unexpected(done.error());
                     return json::serialize(*done);
                   }});
  steps.push_back(
      {.name = "erase_pstore", .clean = 0, .abortable = true, .run = [&options](const StepCall&) {
         return erase_pstore(options);
       }});
  return steps;
}

}  // namespace ingot::agent
