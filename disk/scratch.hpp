/// Scratch room on the target disk (parking) and in a directory (spooling).
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "disk/claim.hpp"
#include "disk/core/scratch.hpp"

namespace ingot::disk {

/// Opens parking room at the end of the target, beyond the decoded disk; where that does not fit,
/// a deleted file in `scratch_dir` (empty: none).
///
/// Parking lies before the last MiB of the target, which stays withheld, and is aligned to 1 MiB.
class TargetScratch final : public ScratchProvider {
 public:
  /// `target` outlives the provider. With `dry_run` only `scratch_dir` is used. `touch` is called
  /// before anything is written to the target, and its error is that write's.
  TargetScratch(const Claim& target, std::string scratch_dir, bool dry_run,
                std::function<Result<void>()> touch = {});
  ~TargetScratch() override;
  Result<Scratch*> open(std::uint64_t keep, std::uint64_t needed) override;
  /// Zeroes the parking room if any was used (it is outside the decoded disk). Before commit.
  /// Errors: write.zero; cancelled once `stop` is requested.
  Result<void> clear(std::stop_token stop = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::disk
