/// From a DeployRequest, and what its machine was told besides, to the job that does it.
#pragma once

#include <string>

#include "agent/job/request.hpp"
#include "agent/provision/provision_options.hpp"
#include "agent/resolution/deploy_request.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// The job of `request`.
///
/// Disk         what `options` name, else what the request does; without either: refused.
/// Guards       nobody is asked in a RAM disk, whose disks are the order's; elsewhere as with
///              `ingot write`. Only there a disk that something old still holds is taken.
/// From afar    (`local` is false) a request names no files of this machine: no file:// URL, and no
///              regular file as its device.
/// Config drive of the request's data; sshKeys become public_keys of meta data that has none, and
///              metadata.name its hostname.
/// Errors: usage.manifest, usage.hints, usage.option, device.unsuitable.
Result<WriteRequest> write_request(const DeployRequest& request, const ProvisionOptions& options,
                                   bool local);

/// A text that is the same for the same request: a digest of all that decides what is on the disk
/// afterwards, and of nothing else.
[[nodiscard]] std::string fingerprint(const DeployRequest& request,
                                      const ProvisionOptions& options);

}  // namespace ingot::agent
