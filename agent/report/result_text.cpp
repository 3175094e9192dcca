#include "agent/report/result_text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <ranges>
#include <string_view>

#include "agent/text/quantity.hpp"
#include "agent/text/text.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

std::string state_line(DiskState state, const std::string& device) {
  switch (state) {
    case DiskState::untouched:
      return fmt::format("{}: nothing was touched", device);
    case DiskState::unbootable:
      return fmt::format(
          "{}: its first and last MiB are zeroed; it does not boot, and what was on it is lost",
          device);
    case DiskState::unknown:
      return fmt::format(
          "{} was written in part, and zeroing its first and last MiB failed as well: do not boot "
          "from it",
          device);
    case DiskState::complete:
      return fmt::format("{} is complete", device);
  }
  return {};
}

// "gpt table 0b7c…, 3 partitions; backup GPT moved to the disk's end; config drive in partition 3"
std::string table_line(const FinishedTable& finished) {
  std::string line = fmt::format("{} table {}, {} partition{}", finished.kind, finished.identifier,
                                 finished.partitions, finished.partitions == 1 ? "" : "s");
  if (finished.backup_moved) line += "; backup GPT moved to the disk's end";
  if (const auto& drive = finished.config_drive)
    line += fmt::format("; config drive in {}partition {}", drive->added ? "the new " : "",
                        drive->partition);
  return line;
}

}  // namespace

std::vector<std::string> describe(const Error& error) {
  std::vector<std::string> lines;
  const std::string message = error.message();
  for (const auto line : message | std::views::split('\n')) {
    const std::string_view text(line.begin(), line.end());
    lines.push_back(lines.empty() ? fmt::format("error [{}]: {}", name(error.code()), text)
                                  : fmt::format("  {}", text));
  }
  if (!error.advice().empty()) lines.push_back("  " + error.advice());
  return lines;
}

void say(const Error& error) {
  say(describe(error), error);
}

void say(const std::vector<std::string>& lines, const std::optional<Error>& error) {
  for (const std::string& line : lines)
    if (error)
      say(line, Severity::error, name(error->code()));
    else
      say(line);
}

std::string digest_line(const JobResult& result) {
  const Digest& digest = result.image->digest;
  return fmt::format("{} {} ({})", name(digest.type), digest.hex,
                     result.verified ? "as expected" : "NOT VERIFIED: nothing to compare with");
}

std::string time_spent(const JobResult& result) {
  return format_duration(
      std::chrono::milliseconds(static_cast<std::int64_t>(result.seconds * 1000)));
}

std::vector<std::string> describe(const JobResult& result, bool dry_run) {
  const std::string& device = result.device;
  if (result.error) {
    auto lines = describe(*result.error);
    // Hints may have chosen none.
    if (!device.empty()) lines.push_back("  " + state_line(result.disk, device));
    return lines;
  }
  const auto& progress = result.progress;
  const double rate =
      result.seconds > 0 ? static_cast<double>(progress.received) / result.seconds : 0;
  std::vector<std::string> lines;
  if (const auto& image = result.image) {
    lines.push_back(fmt::format(
        "{} {}: a {} disk from {} of {}{}", dry_run ? "would have written" : "wrote", device,
        format_bytes(image->virtual_size), format_bytes(progress.received), image->format,
        image->compression.empty() || image->compression == "none" ? ""
                                                                   : ", " + image->compression));
    lines.push_back("  " + digest_line(result));
  }
  if (result.finished && !result.finished->kind.empty())
    lines.push_back("  " + table_line(*result.finished));
  lines.push_back(fmt::format("  {}, {}/s received; {} {}, {} zeroed; peak memory {}",
                              time_spent(result), format_bytes(static_cast<std::uint64_t>(rate)),
                              format_bytes(progress.written), dry_run ? "to write" : "written",
                              format_bytes(progress.zeroed), format_bytes(result.peak_rss)));
  if (dry_run) lines.push_back("  dry run: " + state_line(DiskState::untouched, device));
  return lines;
}

}  // namespace ingot::agent
