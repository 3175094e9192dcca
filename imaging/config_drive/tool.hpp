/// The programs that make file systems for us: mkfs.fat and mtools.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::imaging {

/// One run of such a program. Contents go in and out as files in memory, never as arguments.
struct ToolRun {
  std::string program;  ///< its name
  std::string package;  ///< Debian's, for whom it is missing
  std::vector<std::string> arguments;
  std::vector<int> files;       ///< what it gets as descriptors 3, 4, …
  std::uint64_t file_size = 0;  ///< the most it may write to one of them, bytes
};

/// Runs it to its end, confined (run_subprocess()), with UTF-8 file names and its clock at
/// 1980-01-01; its standard output is the result.
/// Errors: usage.config-drive: it is not installed, or failed: its own words are not shown, since
/// they name files of the config drive. cancelled.
Result<std::string> run_tool(const ToolRun& run, std::stop_token stop);

}  // namespace ingot::imaging
