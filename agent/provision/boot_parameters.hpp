/// The kernel command line's ingot.…= words, and root device hints as they are written there.
#pragma once

#include <string>
#include <string_view>

#include "agent/provision/provision_options.hpp"
#include "agent/text/quantity.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Applies the words `ingot.NAME=VALUE` of a kernel command line; all others are somebody else's.
/// Quoted as the kernel has it; of one given twice the last counts, but each ingot.image-url is one
/// more mirror. docs/provisioning.md lists them.
/// Errors: usage.option for a name that is not known and for a malformed value: half an order must
/// not overwrite a disk. Never with a secret in it.
Result<void> apply_boot_parameters(ProvisionOptions& options, std::string_view cmdline);

/// Hints as a JSON object, from
///   {"serial": "S1", "size": ">= 100"}   JSON
///   %7B%22serial%22…                      the same, percent-encoded
///   serial=S1,size=>=%20100               as Ironic's root_device; values percent-encoded
/// Errors: usage.hints, also for what parse_root_device_hints() refuses.
Result<std::string> hints_as_json(std::string_view text);

/// "forever", "never", or a duration. Errors: usage.option, naming `option`.
Result<RetryPolicy> parse_retry(std::string_view text, std::string_view option);

/// A duration of a second or more. Errors: usage.option, naming `option`.
Result<std::chrono::milliseconds> parse_recheck(std::string_view text, std::string_view option);

}  // namespace ingot::agent
