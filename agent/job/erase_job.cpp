// A disk erased.
#include <utility>

#include "agent/job/job_run.hpp"
#include "agent/job/target_choice.hpp"
#include "disk/claim.hpp"

namespace ingot::agent {
namespace {

DiskState state_of(disk::EraseState state) {
  switch (state) {
    case disk::EraseState::untouched:
      return DiskState::untouched;
    case disk::EraseState::unbootable:
      return DiskState::unbootable;
    case disk::EraseState::unknown:
      return DiskState::unknown;
    case disk::EraseState::erased:
      return DiskState::complete;
  }
  return DiskState::unknown;
}

ErasedDisk erased_disk(disk::EraseMethod method, const disk::EraseOutcome& outcome) {
  const auto& found = outcome.found;
  ErasedDisk erased{std::string(disk::name(method)), outcome.how, 0, {}, {}, 0};
  if (!found.regions.empty()) erased.partitions = found.regions.size() - 1;
  for (const auto& region : found.regions)
    if (!region.partition_type.empty()) erased.partition_types.push_back(region.partition_type);
  for (const auto& signature : found.signatures)
    erased.signatures.push_back(
        {signature.offset, signature.type, found.regions[signature.region].name});
  return erased;
}

class EraseJob final : public JobRun {
 public:
  EraseJob(const EraseRequest& request, const JobContext& context)
      : JobRun(context), request_(request) {}

 private:
  Result<void> work(JobResult& result) override {
    result.device = request_.target.device;
    INGOT_TRY_ASSIGN(const TargetOptions target,
                     confirm_target(request_.target, owner(), job().token()));
    start({.erase_method = std::string(disk::name(request_.method)),
           .device = target.device,
           .dry_run = target.dry_run});
    owner().on_phase(Phase::connect);
    INGOT_TRY_ASSIGN(const disk::Claim claimed,
                     disk::claim(target.device, {.read_only = target.dry_run,
                                                 .force = target.force,
                                                 .expected = target.chosen}));
    disk::EraseOptions how;
    how.dry_run = target.dry_run;
    const auto outcome =
        disk::erase(claimed, request_.method, counters(), owner(), job().token(), how);
    result.disk = state_of(outcome.state);
    result.erased = erased_disk(request_.method, outcome);
    result.erased->disk_size = claimed.size;
    if (!outcome.error) return {};
    // The result says what cancelled it; how far it had come is told here.
    if (outcome.error->cls() == ErrorClass::cancelled) owner().on_note(outcome.error->message());
    return tl::unexpected(*outcome.error);
  }

  const EraseRequest& request_;
};

}  // namespace

JobResult run_job(const EraseRequest& request, const JobContext& context) {
  return EraseJob(request, context).run();
}

}  // namespace ingot::agent
