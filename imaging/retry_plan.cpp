#include "imaging/retry_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ingot::imaging {

using std::chrono::milliseconds;

RetryPlan::RetryPlan(std::size_t mirrors, const TransferOptions& options, unsigned seed)
    : deadline_(options.retry_deadline),
      first_(std::max(options.backoff_first, milliseconds(1))),
      max_(std::max(options.backoff_max, first_)),
      name_patience_(options.unknown_name_patience),
      out_(mirrors),
      names_(mirrors),
      random_(seed) {}

Result<RetryPlan::Next> RetryPlan::after(const TransferFailure& failed, bool progressed,
                                         Clock::time_point now, Clock::time_point last_progress) {
  if (failed.verdict == TransferFailure::Verdict::final) return tl::unexpected(failed.error);
  if (progressed) {
    failed_in_turn_ = 0;
    doublings_ = 0;
  }
  const auto unknown = unknown_for(failed, progressed, now);
  const bool out =
      failed.verdict == TransferFailure::Verdict::mirror || (unknown && *unknown >= name_patience_);
  if (out) {
    out_[mirror_] = failed.error;
    if (usable() == 0) return tl::unexpected(final_error());
  } else {
    ++failed_in_turn_;
  }

  const auto spent = std::chrono::duration_cast<milliseconds>(now - last_progress);
  if (spent >= deadline_)
    return fail(Errc::source_deadline,
                fmt::format("{} (nothing new came for {} ms, in spite of {} retries)",
                            failed.error.message(), spent.count(), attempts_),
                failed.error.advice());

  Next next{mirror_, milliseconds(0), deadline_ - spent, true};
  if (unknown && usable() == 1 && !out && name_patience_ - *unknown < next.left) {
    next.left = name_patience_ - *unknown;
    next.until_deadline = false;
  }
  if (out || !progressed) next.mirror = *next_usable();
  if (failed_in_turn_ >= usable() || next.mirror == mirror_) {
    next.delay = backoff();
    if (failed.retry_after) next.delay = std::max(next.delay, *failed.retry_after);
    next.delay = std::min(next.delay, next.left);
    failed_in_turn_ = 0;
  }
  mirror_ = next.mirror;
  ++attempts_;
  return next;
}

// For how long the name of the mirror that was asked has been one that does not exist; nothing if
// it is not.
std::optional<milliseconds> RetryPlan::unknown_for(const TransferFailure& failed, bool progressed,
                                                   Clock::time_point now) {
  Name& name = names_[mirror_];
  name.proven = name.proven || progressed;
  if (!failed.no_such_name || name.proven) {
    name.unknown_since.reset();
    return std::nullopt;
  }
  if (!name.unknown_since) name.unknown_since = now;
  return std::chrono::duration_cast<milliseconds>(now - *name.unknown_since);
}

std::optional<std::size_t> RetryPlan::next_usable() const {
  for (std::size_t step = 1; step <= out_.size(); ++step) {
    const std::size_t candidate = (mirror_ + step) % out_.size();
    if (!out_[candidate]) return candidate;
  }
  return std::nullopt;
}

std::size_t RetryPlan::usable() const {
  return static_cast<std::size_t>(
      std::count_if(out_.begin(), out_.end(), [](const auto& why) { return !why; }));
}

Error RetryPlan::final_error() const {
  const auto changed = std::find_if(out_.begin(), out_.end(), [](const auto& why) {
    return why->code() == Errc::source_changed;
  });
  const Error& main = changed != out_.end() ? **changed : *out_.front();
  if (out_.size() == 1) return main;
  std::string others;
  for (const auto& why : out_)
    if (&*why != &main) others += "; " + why->message();
  return {main.code(), main.message() + others, main.advice()};
}

milliseconds RetryPlan::backoff() {
  const auto doubled = first_.count() * (std::int64_t{1} << std::min(doublings_, 20));
  ++doublings_;
  const auto most = std::min<std::int64_t>(doubled, max_.count());
  return milliseconds(std::uniform_int_distribution<std::int64_t>(most - most / 2, most)(random_));
}

}  // namespace ingot::imaging
