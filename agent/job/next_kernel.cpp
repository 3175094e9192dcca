#include "agent/job/next_kernel.hpp"

#include <fmt/format.h>

#include "agent/text/text.hpp"

namespace ingot::agent {

Result<InstalledKernel> find_next_kernel(const std::string& device, const std::string& sysfs,
                                         const std::stop_token& stop) {
  disk::InstalledKernelOptions options;
  options.firmware = sysfs + "/firmware/efi";
  return disk::find_installed_kernel(device, options, stop);
}

std::string describe(const InstalledKernel& kernel) {
  return fmt::format("'{}' ({}), command line: {}", printable(kernel.title),
                     printable(kernel.description), printable(kernel.command_line));
}

}  // namespace ingot::agent
