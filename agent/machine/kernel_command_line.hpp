/// The kernel command line as words.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// `NAME` or `NAME=VALUE`.
struct KernelWord {
  std::string name;
  std::optional<std::string> value;  ///< nothing: there is no '='
};

/// Whether double quotes mean something.
enum class KernelQuotes {
  kept,     ///< they are characters like any other, as Ironic's agent has it
  special,  ///< as for the kernel: blanks between them separate no words, and a pair around a whole
            ///< word or value is no part of it; every other one is
};

/// What `path` (/proc/cmdline) holds, its first 64 KiB. Errors: usage.option naming --cmdline: it
/// cannot be read.
Result<std::string> read_kernel_command_line(const std::string& path);

/// The words of `line`, in their order.
[[nodiscard]] std::vector<KernelWord> split_kernel_command_line(std::string_view line,
                                                                KernelQuotes quotes);

}  // namespace ingot::agent
