/// The commands: each does what its options ask for, on standard input, output and error, and
/// returns its exit code (docs/errors.md). One file a command, its grammar included.
#pragma once

#include <string_view>

#include "agent/cli/options.hpp"

namespace ingot::agent {

/// SIGINT, SIGTERM and SIGHUP cancel them; the result is then still told to everybody.
int run_command(const WriteOptions& options);
int run_command(const VerifyOptions& options);
int run_command(const EraseCommandOptions& options);
int run_command(const ImageInfoOptions& options);

/// Until the machine is switched off; the three signals end it as well.
int run_command(const AgentCommandOptions& options);
/// Until the machine is what its request says, or that cannot be.
int run_command(const ProvisionCommandOptions& options);

int run_command(const DevicesOptions& options);
int run_command(const ResolveOptions& options);
int run_command(const ShowText& show);
int run_command(const GenerateReference& generate);

/// Says what went wrong, and returns the exit code for it.
int complain(const Error& error);
/// Writes to standard output; a reader that has seen enough (`| head`) is no failure.
int print(std::string_view text);

}  // namespace ingot::agent
