/// ProgressBar: one line on a terminal, drawn over and over.
#pragma once

#include <string>
#include <string_view>

#include "agent/report/progress_view.hpp"

namespace ingot::agent {

/// The line for a terminal of `width` columns: phase, bar, percent, received of expected, rate,
/// written, remaining time. What does not fit is left out, the least important first; the result
/// never has more than `width` - 1 columns (the last one would wrap on some terminals).
[[nodiscard]] std::string render_bar(const ProgressSnapshot& progress, unsigned width);

/// Draws on a descriptor. On a terminal the line is overwritten; elsewhere (a log file, when a bar
/// was asked for by name) a whole line is added at most every 5 seconds and at each new phase.
///
/// Threads  one at a time.
class ProgressBar {
 public:
  /// `fd` stays the caller's.
  explicit ProgressBar(int fd);

  void draw(const ProgressSnapshot& progress, RateMeter::Time now);
  /// A line of text, with the bar moved below it.
  void print(std::string_view line);
  /// Leaves the last state visible and ends the line. Nothing is drawn after it.
  void finish();

 private:
  [[nodiscard]] unsigned width() const;
  void put(std::string_view text) const;

  const int fd_;
  const bool terminal_;
  std::string shown_;
  std::optional<Phase> phase_;
  RateMeter::Time last_line_;
};

}  // namespace ingot::agent
