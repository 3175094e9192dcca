#include "agent/report/progress_bar.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

constexpr unsigned kDefaultWidth = 80;
constexpr unsigned kMostWidth = 200;
constexpr std::chrono::seconds kLineEvery{5};
constexpr std::string_view kEraseLine = "\r\033[K";

std::string bar(double percent, unsigned columns) {
  const auto full = static_cast<unsigned>(percent / 100.0 * columns);
  std::string text(std::min(full, columns), '=');
  if (text.size() < columns) text += '>';
  text.resize(columns, ' ');
  return '[' + text + ']';
}

std::string rate(double bytes_a_second) {
  return format_bytes(static_cast<std::uint64_t>(bytes_a_second)) + "/s";
}

}  // namespace

std::string render_bar(const ProgressSnapshot& progress, unsigned width) {
  const std::size_t room = std::max(width, 2U) - 1;
  // In the order in which they are kept when room is short; shown in `place` order.
  struct Part {
    int place;
    std::string text;
  };
  std::vector<Part> parts;
  parts.push_back({0, fmt::format("{:<7}", name(progress.phase))});
  if (progress.percent) parts.push_back({2, fmt::format("{:5.1f} %", *progress.percent)});
  parts.push_back({3, progress.expected ? fmt::format("{} of {}", format_bytes(progress.received),
                                                      format_bytes(*progress.expected))
                                        : format_bytes(progress.received) + " received"});
  if (progress.eta) parts.push_back({6, time_left(*progress.eta)});
  parts.push_back({4, rate(progress.receive_rate)});
  parts.push_back({5, progress.phase == Phase::verify
                          ? format_bytes(progress.verified) + " compared"
                          : format_bytes(progress.written) + " written"});

  if (progress.received == 0 && !progress.expected && progress.zeroed > 0 &&
      progress.virtual_size) {  // nothing is received: a disk is being erased
    std::erase_if(parts, [](const Part& part) { return part.place >= 3 && part.place <= 5; });
    parts.push_back({3, fmt::format("{} of {}", format_bytes(progress.zeroed),
                                    format_bytes(*progress.virtual_size))});
    parts.push_back({4, rate(progress.write_rate)});
  }

  std::vector<Part> kept;
  std::size_t used = 0;
  for (auto& part : parts) {
    const std::size_t more = part.text.size() + (kept.empty() ? 0 : 2);
    if (used + more > room) break;
    used += more;
    kept.push_back(std::move(part));
  }
  constexpr std::size_t kLeastBar = 8, kMostBar = 40, kBrackets = 2;
  if (progress.percent && used + 2 + kBrackets + kLeastBar <= room) {
    const auto columns = std::min(room - used - 2 - kBrackets, kMostBar);
    kept.push_back({1, bar(*progress.percent, static_cast<unsigned>(columns))});
  }
  std::ranges::sort(kept, {}, &Part::place);
  std::string line;
  for (const auto& part : kept) line += (line.empty() ? "" : "  ") + part.text;
  return line.substr(0, room);
}

ProgressBar::ProgressBar(int fd) : fd_(fd), terminal_(::isatty(fd) == 1) {}

void ProgressBar::draw(const ProgressSnapshot& progress, RateMeter::Time now) {
  std::string line = render_bar(progress, width());
  if (!terminal_) {
    if (phase_ == progress.phase && now - last_line_ < kLineEvery) return;
    phase_ = progress.phase;
    last_line_ = now;
    put(line + '\n');
    return;
  }
  if (line == shown_) return;
  put(std::string(kEraseLine) + line);
  shown_ = std::move(line);
}

void ProgressBar::print(std::string_view line) {
  if (terminal_ && !shown_.empty())
    put(fmt::format("{}{}\n{}", kEraseLine, line, shown_));
  else
    put(fmt::format("{}\n", line));
}

void ProgressBar::finish() {
  if (terminal_ && !shown_.empty()) put("\n");
  shown_.clear();
}

unsigned ProgressBar::width() const {
  winsize size{};
  unsigned columns = 0;
  if (terminal_ && ::ioctl(fd_, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0)
    if (const char* text = std::getenv("COLUMNS"))
      columns = static_cast<unsigned>(std::clamp(std::atol(text), 0L, 10'000L));
  return columns == 0 ? kDefaultWidth : std::min(columns, kMostWidth);
}

void ProgressBar::put(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t done = ::write(fd_, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return;  // nobody looks any more: no reason to end a deployment
    text.remove_prefix(static_cast<std::size_t>(done));
  }
}

}  // namespace ingot::agent
