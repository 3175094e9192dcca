/// The end of a job in words.
#pragma once

#include <string>
#include <vector>

#include "agent/report/job_result.hpp"

namespace ingot::agent {

/// An error as the lines shown for it: "error [code]: message", and the advice.
std::vector<std::string> describe(const Error& error);

/// "sha256 4f1c… (as expected)". The image must be there.
std::string digest_line(const JobResult& result);

/// "3:07 min": how long it took.
std::string time_spent(const JobResult& result);

/// A result as the lines shown for it: what was written and how, or the error, the advice, and
/// which state the target is in.
std::vector<std::string> describe(const JobResult& result, bool dry_run);

}  // namespace ingot::agent
