/// A kernel is loaded beside the running one; Power::kexec() starts it.
#pragma once

#include <string>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Loads `kernel` (a bzImage, or what else this kernel takes) and `initrd` (-1: none) into memory,
/// in place of what was loaded before. Both are regular files, at any position; they stay the
/// caller's and may be closed afterwards. Takes about their size in memory.
///
/// The kernel itself reads the files, so that it can verify signatures: under Secure Boot
/// ("lockdown") it takes what its own keyrings vouch for, and nothing else.
/// Errors: device.unsupported: the running kernel cannot, or does not want to. Nothing is loaded
/// then. Source: kexec_file_load(2).
Result<void> load_kernel(int kernel, int initrd, const std::string& command_line);

/// Forgets what was loaded. Harmless where nothing was.
void unload_kernel() noexcept;

}  // namespace ingot::agent
