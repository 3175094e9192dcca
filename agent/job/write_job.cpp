// An image onto a disk.
#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "agent/job/config_drive_source.hpp"
#include "agent/job/image_request.hpp"
#include "agent/job/job_run.hpp"
#include "agent/job/target_choice.hpp"
#include "disk/claim.hpp"
#include "disk/device_writer.hpp"
#include "disk/scratch.hpp"
#include "disk/table/finish_disk.hpp"
#include "imaging/config_drive/config_drive.hpp"

namespace ingot::agent {
namespace {

// The fields of a result that come from disk, as values.
FinishedTable finished_table(const disk::FinishedDisk& disk) {
  FinishedTable table;
  if (disk.table != disk::TableKind::none) table.kind = disk::name(disk.table);
  table.identifier = disk.identifier;
  table.partitions = disk.partitions;
  table.backup_moved = disk.backup_moved;
  if (const auto& drive = disk.config_drive)
    table.config_drive = {drive->number, drive->offset, drive->size, disk.config_drive_added};
  return table;
}

class WriteJob final : public JobRun {
 public:
  WriteJob(const WriteRequest& request, const JobContext& context)
      : JobRun(context), request_(request) {}

 private:
  Result<void> work(JobResult& result) override {
    result.device = request_.target.device;
    INGOT_TRY_ASSIGN(target_, choose_target(request_.target, owner()));
    result.device = target_.device;
    INGOT_TRY_ASSIGN(image_, image_job(request_.image, request_.resources, request_.transfer));
    warn_of_unverified(image_, owner());
    INGOT_TRY_ASSIGN(config_drive_,
                     load_config_drive(request_.config_drive, request_.transfer, job().token()));
    INGOT_TRY_ASSIGN(target_, confirm_target(target_, owner(), job().token()));
    result.verified = image_.checked();
    start({.image_url = image_.request.urls.front(),
           .device = target_.device,
           .dry_run = target_.dry_run});
    return write(result);
  }

  Result<void> write(JobResult& result) {
    owner().on_phase(Phase::connect);
    INGOT_TRY(not_stopped());
    INGOT_TRY_ASSIGN(const disk::Claim target,
                     disk::claim(target_.device, {.read_only = target_.dry_run,
                                                  .create_size = target_.size,
                                                  .force = target_.force,
                                                  .expected = target_.chosen}));
    auto done = write_onto(target, result);
    // A disk image file that was made for nothing is no use to anybody.
    if (!done && target.created && result.disk == DiskState::untouched)
      ::unlink(target.path.c_str());
    return done;
  }

  Result<void> write_onto(const disk::Claim& target, JobResult& result) {
    INGOT_TRY(locate_image(image_, owner(), job().token()));
    INGOT_TRY(fit_config_drive(target));

    disk::WriterOptions options;
    options.buffer_count = image_.writer_buffers;
    options.dry_run = target_.dry_run;
    options.verify_readback = request_.verify_readback;
    if (config_drive_) options.config_drive = config_drive_->image.size();
    disk::DeviceWriter writer(target, options, counters(), job());
    disk::TargetScratch scratch(target, request_.resources.scratch_dir, target_.dry_run,
                                [&writer] { return writer.touch(); });
    // What is said of the disk if something throws before more is known.
    if (!target_.dry_run) result.disk = DiskState::unknown;
    if (auto done = stream(target, writer, scratch, result); !done) {
      Error error = stop_for(done.error());
      result.disk = !writer.touched()  ? DiskState::untouched
                    : writer.abandon() ? DiskState::unbootable
                                       : DiskState::unknown;
      return tl::unexpected(std::move(error));
    }
    if (!target_.dry_run) result.disk = DiskState::complete;
    // The disk is complete; that its partitions cannot be seen yet is no reason to call it failed.
    if (!target_.dry_run)
      if (auto seen = disk::reread_partitions(target); !seen)
        owner().on_note(fmt::format("the image is on the disk, but {} ({})", seen.error().message(),
                                    seen.error().advice()));
    owner().on_phase(Phase::done);
    return {};
  }

  Result<void> stream(const disk::Claim& target, disk::DeviceWriter& writer,
                      disk::TargetScratch& scratch, JobResult& result) {
    INGOT_TRY_ASSIGN(
        const imaging::ImageOutcome streamed,
        imaging::stream_image(image_.request, writer, scratch, counters(), owner(), job()));
    result.image = streamed_image(streamed);
    owner().on_phase(Phase::flush);
    INGOT_TRY(scratch.clear(job().token()));
    INGOT_TRY(writer.finish());
    if (request_.verify_readback && !target_.dry_run) owner().on_phase(Phase::verify);
    INGOT_TRY(writer.verify());
    std::optional<disk::ConfigDriveRequest> drive;
    if (config_drive_) {
      owner().on_phase(Phase::config_drive);
      drive.emplace(config_drive_->image);
    }
    INGOT_TRY_ASSIGN(const disk::FinishedDisk finished,
                     disk::finish_disk(target, writer, drive, target_.dry_run));
    result.finished = finished_table(finished);
    for (const std::string& note : finished.notes) owner().on_note(note);
    INGOT_TRY(writer.verify());  // what that wrote
    // The last moment at which a signal leaves a disk that does not boot.
    INGOT_TRY(not_stopped());
    owner().on_phase(Phase::commit);
    return writer.commit();
  }

  // A file system with smaller blocks than the disk's sectors could not be mounted.
  Result<void> fit_config_drive(const disk::Claim& target) {
    auto& drive = config_drive_;
    if (!drive) return {};
    if (!drive->well_labelled())
      owner().on_note(fmt::format(
          "the config drive is labelled '{}': cloud-init looks for config-2", drive->label));
    if (drive->mounts_at(target.logical_sector)) return {};
    INGOT_TRY_ASSIGN(drive, imaging::as_fat(*drive, target.logical_sector, imaging::kMaxConfigDrive,
                                            job().token()));
    owner().on_note(fmt::format("the config drive was made anew as FAT, for sectors of {} bytes",
                                target.logical_sector));
    return {};
  }

  const WriteRequest& request_;
  TargetOptions target_;  // with the disk that hints chose, and was confirmed
  ImageJob image_;
  std::optional<imaging::ConfigDrive> config_drive_;
};

}  // namespace

JobResult run_job(const WriteRequest& request, const JobContext& context) {
  return WriteJob(request, context).run();
}

}  // namespace ingot::agent
