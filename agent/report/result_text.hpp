/// The end of a job in words.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/report/job_result.hpp"

namespace ingot::agent {

/// An error as the lines shown for it: "error [code]: message", and the advice.
std::vector<std::string> describe(const Error& error);

/// Says an error (say()), each line as one, with its code.
void say(const Error& error);

/// Says how a job ended in lines that describe() made; of a failed one as an error, with its code.
void say(const std::vector<std::string>& lines, const std::optional<Error>& error);

/// "sha256 4f1c… (as expected)". The image must be there.
std::string digest_line(const JobResult& result);

/// "3:07 min": how long it took.
std::string time_spent(const JobResult& result);

/// A result as the lines shown for it: what was written and how, or the error, the advice, and
/// which state the target is in.
std::vector<std::string> describe(const JobResult& result, bool dry_run);

}  // namespace ingot::agent
