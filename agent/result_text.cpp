#include "agent/result_text.hpp"

#include <fmt/format.h>

#include <ranges>
#include <string_view>

#include "agent/quantity.hpp"
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
std::string table_line(const disk::FinishedDisk& finished) {
  std::string line =
      fmt::format("{} table {}, {} partition{}", disk::name(finished.table), finished.identifier,
                  finished.partitions, finished.partitions == 1 ? "" : "s");
  if (finished.backup_moved) line += "; backup GPT moved to the disk's end";
  if (const auto& drive = finished.config_drive)
    line += fmt::format("; config drive in {}partition {}",
                        finished.config_drive_added ? "the new " : "", drive->number);
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

std::vector<std::string> describe(const JobResult& result, const std::string& device,
                                  bool dry_run) {
  if (result.error) {
    auto lines = describe(*result.error);
    // Hints may have chosen none.
    if (!device.empty()) lines.push_back("  " + state_line(result.disk, device));
    return lines;
  }
  const auto& progress = result.progress;
  const auto spent = std::chrono::milliseconds(static_cast<std::int64_t>(result.seconds * 1000));
  const double rate =
      result.seconds > 0 ? static_cast<double>(progress.received) / result.seconds : 0;
  std::vector<std::string> lines;
  if (const auto& image = result.outcome) {
    lines.push_back(fmt::format(
        "{} {}: a {} disk from {} of {}{}", dry_run ? "would have written" : "wrote", device,
        format_bytes(image->virtual_size), format_bytes(progress.received),
        imaging::name(image->format),
        image->compression.empty() || image->compression == "none" ? ""
                                                                   : ", " + image->compression));
    lines.push_back(
        fmt::format("  {} {} ({})", imaging::name(image->digest.type), image->digest.hex,
                    result.verified ? "as expected" : "NOT VERIFIED: nothing to compare with"));
  }
  if (result.finished && result.finished->table != disk::TableKind::none)
    lines.push_back("  " + table_line(*result.finished));
  lines.push_back(fmt::format("  {}, {}/s received; {} {}, {} zeroed; peak memory {}",
                              format_duration(spent),
                              format_bytes(static_cast<std::uint64_t>(rate)),
                              format_bytes(progress.written), dry_run ? "to write" : "written",
                              format_bytes(progress.zeroed), format_bytes(result.peak_rss)));
  if (dry_run) lines.push_back("  dry run: " + state_line(DiskState::untouched, device));
  return lines;
}

}  // namespace ingot::agent
