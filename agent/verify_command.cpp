#include "agent/verify_command.hpp"

#include <fmt/format.h>

#include <utility>

#include "agent/image_request.hpp"
#include "agent/job_command.hpp"
#include "agent/quantity.hpp"
#include "agent/result_text.hpp"
#include "agent/text.hpp"
#include "disk/compare_sink.hpp"
#include "disk/core/units.hpp"
#include "disk/open_for_reading.hpp"
#include "disk/scratch.hpp"
#include "disk/table/table_comparison.hpp"
#include "imaging/stream_image.hpp"

namespace ingot::agent {
namespace {

// What is writing to others is comparing here.
class Comparing final : public JobListener {
 public:
  explicit Comparing(JobListener& listener) : listener_(listener) {}
  void on_phase(Phase phase) override {
    listener_.on_phase(phase == Phase::write ? Phase::verify : phase);
  }
  void on_retry(int attempt, const std::string& reason, std::uint64_t resume_offset) override {
    listener_.on_retry(attempt, reason, resume_offset);
  }
  void on_note(const std::string& text) override { listener_.on_note(text); }

 private:
  JobListener& listener_;
};

class VerifyCommand final : public JobCommand {
 public:
  explicit VerifyCommand(const VerifyOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  Result<void> work(JobReporter& reporter, JobResult& result) override {
    INGOT_TRY_ASSIGN(ImageJob image, image_job(options_.image, options_.resources, transfer()));
    warn_of_unverified(image);
    start_clock();
    result.verified = image.checked();
    reporter.started(image.request.urls.front(), options_.device, false);
    Comparing listener(reporter);
    listener.on_phase(Phase::connect);
    INGOT_TRY_ASSIGN(const auto opened, disk::open_for_reading(options_.device));
    for (const auto& use : opened.uses)
      listener.on_note(fmt::format("{} is {}: what it holds may change while it is compared",
                                   options_.device, use.text));
    INGOT_TRY(find_expected_digest(image, job().token()));
    return compare(image, opened.target, listener, result);
  }

  Result<void> compare(const ImageJob& image, const disk::Claim& target, JobListener& listener,
                       JobResult& result) {
    disk::DifferenceMap differences;
    INGOT_TRY_ASSIGN(auto tables, disk::TableComparison::open(target, differences));
    disk::CompareOptions options;
    options.buffer_count = image.writer_buffers;
    disk::CompareSink sink(target, options, differences, counters(), job());
    // The disk is only read: what cannot be placed at once goes to a directory, or nowhere.
    disk::TargetScratch scratch(target, options_.resources.scratch_dir, true);
    auto streamed =
        imaging::stream_image(image.request, sink, scratch, counters(), listener, job());
    if (!streamed) {
      Error error = job().or_else(streamed.error());
      job().report(error);  // stops what is still comparing
      return tl::unexpected(std::move(error));
    }
    result.outcome = *std::move(streamed);
    INGOT_TRY(sink.finish());
    INGOT_TRY_ASSIGN(const auto notes, tables.compare(sink.head(), result.outcome->virtual_size));
    for (const auto& note : notes) listener.on_note(note);
    listener.on_phase(Phase::done);
    const auto found = differences.summary();
    if (!found) return {};
    result.first_difference = found->first;
    const std::string place = tables.place_of(found->first);
    return fail(
        Errc::write_differs,
        fmt::format("{} does not hold the image: the first difference is at byte {} (sector {}){}; "
                    "{}{} byte{} differ{}",
                    target.path, found->first, found->first / target.logical_sector,
                    place.empty() ? "" : ", in " + printable(place),
                    found->exact ? "" : "at least ", found->bytes, found->bytes == 1 ? "" : "s",
                    found->bytes == 1 ? "s" : ""),
        "a disk that was booted or mounted since has changed; else write the image again, and if "
        "it "
        "then still differs, replace the disk");
  }

  std::vector<std::string> describe(const JobResult& result) const override {
    if (result.error) return agent::describe(*result.error);
    std::vector<std::string> lines;
    const auto spent = std::chrono::milliseconds(static_cast<std::int64_t>(result.seconds * 1000));
    if (const auto& image = result.outcome) {
      lines.push_back(fmt::format("{} holds the image: a {} disk from {} of {}", options_.device,
                                  format_bytes(image->virtual_size),
                                  format_bytes(result.progress.received),
                                  imaging::name(image->format)));
      lines.push_back(
          fmt::format("  {} {} ({})", imaging::name(image->digest.type), image->digest.hex,
                      result.verified ? "as expected" : "NOT VERIFIED: nothing to compare with"));
    }
    lines.push_back(fmt::format("  {}, {} compared; peak memory {}", format_duration(spent),
                                format_bytes(result.progress.verified),
                                format_bytes(result.peak_rss)));
    return lines;
  }

  const VerifyOptions& options_;
};

}  // namespace

int run_verify(const VerifyOptions& options) {
  return VerifyCommand(options).run();
}

}  // namespace ingot::agent
