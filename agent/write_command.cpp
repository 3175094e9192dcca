#include "agent/write_command.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/confirmation.hpp"
#include "agent/image_request.hpp"
#include "agent/job_command.hpp"
#include "agent/result_text.hpp"
#include "agent/target_choice.hpp"
#include "agent/write_job.hpp"

namespace ingot::agent {
namespace {

class WriteCommand final : public JobCommand {
 public:
  explicit WriteCommand(const WriteOptions& options)
      : JobCommand(options.reporting, options.network), options_(options) {}

 private:
  Result<void> work(JobReporter& reporter, JobResult& result) override {
    INGOT_TRY_ASSIGN(target_, choose_target(options_.target));
    INGOT_TRY_ASSIGN(WriteJobRequest request, make_request());
    warn_of_unverified(request.image);
    INGOT_TRY_ASSIGN(request.config_drive,
                     load_config_drive(options_.config_drive, transfer(), job().token()));
    INGOT_TRY_ASSIGN(request.confirmed,
                     confirm_target(target_, STDIN_FILENO, STDERR_FILENO, job().token()));
    start_clock();
    result.verified = request.image.checked();
    reporter.started(request.image.request.urls.front(), target_.device, target_.dry_run);
    WriteJobOutcome outcome = run_write_job(std::move(request), counters(), reporter, job());
    result.outcome = std::move(outcome.image);
    result.finished = std::move(outcome.finished);
    result.disk = outcome.disk;
    if (outcome.error) return tl::unexpected(*std::move(outcome.error));
    return {};
  }

  std::vector<std::string> describe(const JobResult& result) const override {
    return agent::describe(result, target_.device, target_.dry_run);
  }

  Result<WriteJobRequest> make_request() const {
    WriteJobRequest request;
    INGOT_TRY_ASSIGN(request.image, image_job(options_.image, options_.resources, transfer()));
    request.device = target_.device;
    request.create_size = target_.size;
    request.scratch_dir = options_.resources.scratch_dir;
    request.force = target_.force;
    request.dry_run = target_.dry_run;
    request.verify_readback = options_.verify_readback;
    return request;
  }

  const WriteOptions& options_;
  TargetOptions target_ = options_.target;  // with the disk that hints chose
};

}  // namespace

int run_write(const WriteOptions& options) {
  return WriteCommand(options).run();
}

}  // namespace ingot::agent
