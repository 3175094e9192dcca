// A disk compared with an image.
#include <fmt/format.h>

#include <utility>

#include "agent/job/image_request.hpp"
#include "agent/job/job_run.hpp"
#include "agent/text/text.hpp"
#include "disk/compare_sink.hpp"
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
  void on_stall(std::chrono::milliseconds left, bool until_deadline) override {
    listener_.on_stall(left, until_deadline);
  }
  void on_note(const std::string& text) override { listener_.on_note(text); }

 private:
  JobListener& listener_;
};

class VerifyJob final : public JobRun {
 public:
  VerifyJob(const VerifyRequest& request, const JobContext& context)
      : JobRun(context), request_(request) {}

 private:
  Result<void> work(JobResult& result) override {
    result.device = request_.device;
    INGOT_TRY_ASSIGN(ImageJob image,
                     image_job(request_.image, request_.resources, request_.transfer));
    warn_of_unverified(image, owner());
    result.verified = image.checked();
    start({.image_url = image.request.urls.front(), .device = request_.device});
    Comparing listener(owner());
    listener.on_phase(Phase::connect);
    INGOT_TRY_ASSIGN(const auto opened, disk::open_for_reading(request_.device));
    for (const auto& use : opened.uses)
      listener.on_note(fmt::format("{} is {}: what it holds may change while it is compared",
                                   request_.device, use.text));
    INGOT_TRY(locate_image(image, listener, job().token()));
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
    disk::TargetScratch scratch(target, request_.resources.scratch_dir, true);
    auto streamed =
        imaging::stream_image(image.request, sink, scratch, counters(), listener, job());
    if (!streamed) return tl::unexpected(stop_for(streamed.error()));
    result.image = streamed_image(*streamed);
    INGOT_TRY(sink.finish());
    INGOT_TRY_ASSIGN(const auto notes, tables.compare(sink.head(), result.image->virtual_size));
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

  const VerifyRequest& request_;
};

}  // namespace

JobResult run_job(const VerifyRequest& request, const JobContext& context) {
  return VerifyJob(request, context).run();
}

}  // namespace ingot::agent
