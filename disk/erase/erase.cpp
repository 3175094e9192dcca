#include "disk/erase/erase.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "disk/erase/overwrite.hpp"
#include "disk/erase/secure.hpp"
#include "disk/erase/watch.hpp"
#include "disk/erase/wipe.hpp"

namespace ingot::disk {
namespace {

// One erase, on the watched thread.
class Erase {
 public:
  Erase(const Claim& target, EraseMethod method, const EraseOptions& options, Watch& watch)
      : target_(target), method_(method), options_(options), watch_(watch) {}

  EraseOutcome run() {
    try {
      if (auto done = work(); !done) outcome_.error = done.error();
    } catch (const std::exception& error) {
      outcome_.error = Error(Errc::internal_bug, std::string("erasing: ") + error.what(),
                             "report this with what you did");
    }
    if (!outcome_.error && !options_.dry_run) watch_.state(EraseState::erased);
    outcome_.state = watch_.state();
    return std::move(outcome_);
  }

 private:
  Result<void> work() {
    INGOT_TRY(watch_.not_stopped(target_.path));
    SecureErase secure;
    if (method_ == EraseMethod::discard) INGOT_TRY(check_discard(target_));
    if (method_ == EraseMethod::secure) {
      INGOT_TRY_ASSIGN(secure, find_secure_erase(target_));
      outcome_.how = secure.how;
    }
    if (method_ != EraseMethod::zero) {
      INGOT_TRY_ASSIGN(outcome_.found, survey(target_, watch_));
      for (const auto& problem : outcome_.found.problems)
        watch_.note(fmt::format("{}: {}", target_.path, problem));
    }
    if (options_.dry_run) return {};
    watch_.phase(Phase::write);
    INGOT_TRY(erase(secure));
    watch_.phase(Phase::flush);
    if (auto seen = reread_partitions(target_); !seen)
      watch_.note(fmt::format("{} is erased, but its partitions may still show until a restart: {}",
                              target_.path, seen.error().message()));
    watch_.phase(Phase::done);
    return {};
  }

  Result<void> erase(const SecureErase& secure) {
    switch (method_) {
      case EraseMethod::metadata:
        return wipe_metadata(target_, outcome_.found, watch_);
      case EraseMethod::discard:
        // Before: should it end half way, nothing boots. After: what a discard leaves is the
        // device's affair.
        INGOT_TRY(wipe_metadata(target_, outcome_.found, watch_));
        INGOT_TRY(discard_all(target_, watch_));
        outcome_.bytes = target_.size;
        return wipe_metadata(target_, outcome_.found, watch_);
      case EraseMethod::zero:
        INGOT_TRY(zero_all(target_, watch_));
        outcome_.bytes = target_.size;
        watch_.phase(Phase::verify);
        return check_zeros(target_, watch_, options_.stall_limit);
      case EraseMethod::secure:
        watch_.state(EraseState::unknown);
        INGOT_TRY(run_secure_erase(target_, secure, watch_));
        outcome_.bytes = target_.size;
        return wipe_metadata(target_, outcome_.found, watch_);
    }
    return fail(Errc::internal_bug, "an erase method without a way");
  }

  const Claim& target_;
  const EraseMethod method_;
  const EraseOptions& options_;
  Watch& watch_;
  EraseOutcome outcome_;
};

}  // namespace

std::string_view name(EraseMethod method) noexcept {
  switch (method) {
    case EraseMethod::metadata:
      return "metadata";
    case EraseMethod::discard:
      return "discard";
    case EraseMethod::zero:
      return "zero";
    case EraseMethod::secure:
      return "secure";
  }
  return "metadata";
}

EraseOutcome erase(const Claim& target, EraseMethod method, ProgressCounters& counters,
                   JobListener& listener, std::stop_token stop, const EraseOptions& options) {
  if (method != EraseMethod::metadata)
    counters.virtual_size = static_cast<std::int64_t>(target.size);
  return run_watched(
      target,
      [method, options](const Claim& own, Watch& watch) {
        return Erase(own, method, options, watch).run();
      },
      counters, listener, std::move(stop), options.stall_limit);
}

}  // namespace ingot::disk
