/// This process: how it is set up before anything else, and how much memory it took.
#pragma once

#include <cstdint>

namespace ingot::agent {

/// To be called first in main(), before any thread is started:
/// - descriptors 0, 1 and 2 exist, so that no disk is ever opened as standard error;
/// - no core dumps and no ptrace by others (PR_SET_DUMPABLE): memory holds credentials;
/// - two malloc arenas, so that memory does not grow with the number of threads;
/// - files are made for the owner alone; a closed pipe is an error of write(), not a signal.
void set_up_process() noexcept;

/// The largest resident size of this process so far, bytes.
///
/// Source   VmHWM of /proc/self/status. getrusage()'s ru_maxrss, the fallback, counts the memory
///          that the parent had between fork and exec as well: a big parent would be blamed on us.
[[nodiscard]] std::uint64_t peak_rss() noexcept;

}  // namespace ingot::agent
