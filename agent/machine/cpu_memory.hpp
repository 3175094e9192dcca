/// The node's processors and memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/machine/dmi.hpp"

namespace ingot::agent {

struct Cpu {
  std::string model_name;
  std::string frequency;     ///< MHz: the highest that it can run at, else the current; or ""
  std::uint64_t count = 0;   ///< logical CPUs
  std::string architecture;  ///< as `uname -m`
  std::vector<std::string> flags;
  std::optional<std::uint64_t> socket_count{};
};

struct Memory {
  std::uint64_t total = 0;                     ///< bytes that the kernel has
  std::optional<std::uint64_t> physical_mb{};  ///< MiB that are built in
};

/// `proc` and `sysfs` are /proc and /sys; `dmi` names a processor that /proc/cpuinfo does not
/// (ARM).
[[nodiscard]] Cpu read_cpu(const std::filesystem::path& proc, const std::filesystem::path& sysfs,
                           const std::vector<DmiStructure>& dmi);

/// What is built in is what the firmware lists; else all memory that the kernel was given; else
/// what it has, rounded up to MiB.
[[nodiscard]] Memory read_memory(const std::filesystem::path& proc,
                                 const std::filesystem::path& sysfs,
                                 const std::vector<DmiStructure>& dmi);

}  // namespace ingot::agent
