#include "agent/write_job.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <exception>

#include "disk/claim.hpp"
#include "disk/device_writer.hpp"
#include "disk/scratch.hpp"

namespace ingot::agent {
namespace {

class WriteJob {
 public:
  WriteJob(WriteJobRequest request, ProgressCounters& counters, JobListener& listener,
           FirstError& job)
      : request_(std::move(request)), counters_(counters), listener_(listener), job_(job) {}

  WriteJobOutcome run() {
    if (auto done = write(); !done) outcome_.error = job_.or_else(done.error());
    return std::move(outcome_);
  }

 private:
  Result<void> write() {
    listener_.on_phase(Phase::connect);
    INGOT_TRY(not_stopped());
    INGOT_TRY_ASSIGN(const disk::Claim target,
                     disk::claim(request_.device, {.read_only = request_.dry_run,
                                                   .create_size = request_.create_size,
                                                   .force = request_.force,
                                                   .expected = request_.confirmed}));
    auto done = write_onto(target);
    // A disk image file that was made for nothing is no use to anybody.
    if (!done && target.created && outcome_.disk == DiskState::untouched)
      ::unlink(target.path.c_str());
    return done;
  }

  Result<void> write_onto(const disk::Claim& target) {
    INGOT_TRY(find_expected_digest(request_.image, job_.token()));
    INGOT_TRY(fit_config_drive(target));

    disk::WriterOptions options;
    options.buffer_count = request_.image.writer_buffers;
    options.dry_run = request_.dry_run;
    options.verify_readback = request_.verify_readback;
    if (request_.config_drive) options.config_drive = request_.config_drive->image.size();
    disk::DeviceWriter writer(target, options, counters_, job_);
    disk::TargetScratch scratch(target, request_.scratch_dir, request_.dry_run,
                                [&writer] { return writer.touch(); });
    if (auto done = stream(target, writer, scratch); !done) {
      Error error = job_.or_else(done.error());
      job_.report(error);  // stops what may still be writing
      abandon(writer);
      return tl::unexpected(std::move(error));
    }
    if (!request_.dry_run) outcome_.disk = DiskState::complete;
    // The disk is complete; that its partitions cannot be seen yet is no reason to call it failed.
    if (!request_.dry_run)
      if (auto seen = disk::reread_partitions(target); !seen)
        listener_.on_note(fmt::format("the image is on the disk, but {} ({})",
                                      seen.error().message(), seen.error().advice()));
    listener_.on_phase(Phase::done);
    return {};
  }

  Result<void> stream(const disk::Claim& target, disk::DeviceWriter& writer,
                      disk::TargetScratch& scratch) {
    INGOT_TRY_ASSIGN(outcome_.image, imaging::stream_image(request_.image.request, writer, scratch,
                                                           counters_, listener_, job_));
    listener_.on_phase(Phase::flush);
    INGOT_TRY(scratch.clear(job_.token()));
    INGOT_TRY(writer.finish());
    if (request_.verify_readback && !request_.dry_run) listener_.on_phase(Phase::verify);
    INGOT_TRY(writer.verify());
    std::optional<disk::ConfigDriveRequest> drive;
    if (request_.config_drive) {
      listener_.on_phase(Phase::config_drive);
      drive.emplace(request_.config_drive->image);
    }
    INGOT_TRY_ASSIGN(outcome_.finished, disk::finish_disk(target, writer, drive, request_.dry_run));
    for (const std::string& note : outcome_.finished->notes) listener_.on_note(note);
    INGOT_TRY(writer.verify());  // what that wrote
    // The last moment at which a signal leaves a disk that does not boot.
    INGOT_TRY(not_stopped());
    listener_.on_phase(Phase::commit);
    return writer.commit();
  }

  // A file system with smaller blocks than the disk's sectors could not be mounted.
  Result<void> fit_config_drive(const disk::Claim& target) {
    auto& drive = request_.config_drive;
    if (!drive) return {};
    if (!drive->well_labelled())
      listener_.on_note(fmt::format(
          "the config drive is labelled '{}': cloud-init looks for config-2", drive->label));
    if (drive->mounts_at(target.logical_sector)) return {};
    INGOT_TRY_ASSIGN(drive, imaging::as_fat(*drive, target.logical_sector, imaging::kMaxConfigDrive,
                                            job_.token()));
    listener_.on_note(fmt::format("the config drive was made anew as FAT, for sectors of {} bytes",
                                  target.logical_sector));
    return {};
  }

  void abandon(disk::DeviceWriter& writer) {
    if (!writer.touched()) return;
    outcome_.disk = writer.abandon() ? DiskState::unbootable : DiskState::unknown;
  }

  [[nodiscard]] Result<void> not_stopped() const {
    if (!job_.token().stop_requested()) return {};
    return tl::unexpected(job_.or_else(Error(Errc::cancelled, "cancelled")));
  }

  WriteJobRequest request_;
  ProgressCounters& counters_;
  JobListener& listener_;
  FirstError& job_;
  WriteJobOutcome outcome_;
};

}  // namespace

WriteJobOutcome run_write_job(WriteJobRequest request, ProgressCounters& counters,
                              JobListener& listener, FirstError& job) {
  return WriteJob(std::move(request), counters, listener, job).run();
}

}  // namespace ingot::agent
