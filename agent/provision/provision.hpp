/// provision(): a machine's own deployment, from its request to its reboot.
#pragma once

#include <atomic>
#include <stop_token>

#include "agent/provision/provision_options.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// How it is stopped, by a signal.
class ProvisionStop {
 public:
  /// The disk is left as a cancelled job leaves it; with `again`, or while no disk is being
  /// written, nothing else is waited for either. From any thread.
  void request(bool again) {
    stop_.request_stop();
    if (again || !writing_) hurry_.request_stop();
  }
  [[nodiscard]] std::stop_token token() const noexcept { return stop_.get_token(); }
  [[nodiscard]] std::stop_source& hurry() noexcept { return hurry_; }
  void set_writing(bool writing) { writing_ = writing; }
  [[nodiscard]] bool writing() const { return writing_; }

 private:
  std::stop_source stop_, hurry_;
  std::atomic<bool> writing_ = false;
};

/// Asks for this machine's request, does it, reports it, and acts:
///
///   1. results of earlier runs that nobody was told of are delivered;
///   2. the request is asked for, or is `options.order`; with 204 there is nothing to do;
///   3. a request whose successful end is still kept is done already: on with 6;
///   4. the disk is chosen, the image and the config drive are written;
///   5. the result is kept, then told: console, standard output, controller (`report_patience`);
///   6. boot entries, and the machine is rebooted, switched off, or starts the new system's kernel;
///      where it cannot, it is rebooted instead, and a line says why.
///
/// Failures that may pass are repeated with back-off, as `options.retry` says; a RAM disk never
/// gives up. Every failure is shown once; what keeps a request from being done is also reported.
///
/// Returns when there is nothing left to do; with PowerMode::real and an action it does not return.
/// Errors: the last failure, which is the exit code; cancelled when `stop` was requested.
Result<void> provision(const ProvisionOptions& options, ProvisionStop& stop);

}  // namespace ingot::agent
