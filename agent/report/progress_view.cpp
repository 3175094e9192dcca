#include "agent/report/progress_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "agent/text/quantity.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

constexpr double kMostBeforeDone = 99.0;

std::optional<double> share(std::uint64_t part, std::optional<std::uint64_t> whole) {
  if (!whole || *whole == 0) return std::nullopt;
  return 100.0 * static_cast<double>(part) / static_cast<double>(*whole);
}

}  // namespace

std::string_view name(Phase phase) noexcept {
  switch (phase) {
    case Phase::connect:
      return "connect";
    case Phase::write:
      return "write";
    case Phase::flush:
      return "flush";
    case Phase::verify:
      return "verify";
    case Phase::commit:
      return "commit";
    case Phase::config_drive:
      return "config-drive";
    case Phase::done:
      return "done";
  }
  return "connect";
}

std::string time_left(std::chrono::seconds eta) {
  return eta < std::chrono::minutes(1) ? fmt::format("{} s left", eta.count())
                                       : format_duration(eta) + " left";
}

std::string sentence(const ProgressSnapshot& progress, std::string_view device, bool erase) {
  std::string text;
  switch (progress.phase) {
    case Phase::connect:
      text = device.empty() ? "Connecting" : fmt::format("Connecting, to write {}", device);
      if (erase) text = fmt::format("Looking at {}", device);
      break;
    case Phase::write:
      text = fmt::format("{} {}", erase ? "Erasing" : "Writing", device);
      break;
    case Phase::flush:
      text = fmt::format("Flushing {}", device);
      break;
    case Phase::verify:
      text = fmt::format("Comparing {} with the image", device);
      break;
    case Phase::config_drive:
      text = fmt::format("Writing the config drive to {}", device);
      break;
    case Phase::commit:
      text = fmt::format("Making {} bootable", device);
      break;
    case Phase::done:
      text = fmt::format("Done with {}", device);
      break;
  }
  if (progress.phase == Phase::done) return text;
  if (progress.percent) text += fmt::format(": {:.0f} %", *progress.percent);
  // The image's bytes a second: percent and remaining time are of these as well.
  const double rate = progress.received > 0 ? progress.receive_rate : progress.write_rate;
  if (rate >= 1) text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
  if (progress.eta) text += ", " + time_left(*progress.eta);
  return text;
}

ProgressSnapshot ProgressView::look(const ProgressCounters& counters, Phase phase,
                                    RateMeter::Time now) {
  ProgressSnapshot next = last_;
  next.phase = std::max(last_.phase, phase);
  next.received = std::max(last_.received, counters.bytes_received.load());
  next.written = std::max(last_.written, counters.bytes_written.load());
  next.zeroed = std::max(last_.zeroed, counters.bytes_zeroed.load());
  next.verified = std::max(last_.verified, counters.bytes_verified.load());
  if (const auto expected = counters.bytes_expected.load(); expected >= 0)
    next.expected = static_cast<std::uint64_t>(expected);
  if (const auto size = counters.virtual_size.load(); size >= 0)
    next.virtual_size = static_cast<std::uint64_t>(size);

  received_.add(now, next.received);
  written_.add(now, next.written + next.zeroed);
  next.receive_rate = received_.per_second();
  next.write_rate = written_.per_second();

  auto percent = share(next.received, next.expected);
  if (!percent) percent = share(next.written + next.zeroed, next.virtual_size);
  if (percent) percent = std::min(*percent, kMostBeforeDone);
  if (next.phase == Phase::done) percent = 100.0;
  if (last_.percent) percent = std::max(percent.value_or(0), *last_.percent);
  next.percent = percent;

  next.eta.reset();
  // Slower than that, the estimate would be of days; it says nothing.
  constexpr double kLeastRate = 1024;
  if (next.expected && next.received < *next.expected && next.receive_rate >= kLeastRate)
    next.eta = std::chrono::seconds(static_cast<std::int64_t>(
        std::ceil(static_cast<double>(*next.expected - next.received) / next.receive_rate)));
  // Where nothing is received, until all of the disk is erased.
  const std::uint64_t on_disk = next.written + next.zeroed;
  if (!next.expected && next.received == 0 && next.virtual_size && on_disk < *next.virtual_size &&
      next.write_rate >= kLeastRate)
    next.eta = std::chrono::seconds(static_cast<std::int64_t>(
        std::ceil(static_cast<double>(*next.virtual_size - on_disk) / next.write_rate)));
  last_ = next;
  return next;
}

}  // namespace ingot::agent
