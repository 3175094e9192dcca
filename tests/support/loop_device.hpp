/// A loop device of a test's own, on a sparse file of its own. Needs root.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "tests/support/command.hpp"

namespace ingot::test {

class LoopDevice {
 public:
  /// `size` bytes, logical sectors of `sector` bytes.
  explicit LoopDevice(std::uint64_t size, unsigned sector = 512, const std::string& options = "") {
    const std::string backing = dir_.path("disk");
    std::ofstream(backing).close();
    std::filesystem::resize_file(backing, size);
    path_ = run("losetup --find --show --direct-io=on --sector-size " + std::to_string(sector) +
                " " + options + " " + backing);
    while (!path_.empty() && path_.back() == '\n') path_.pop_back();
  }
  ~LoopDevice() { run("losetup --detach " + path_); }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Its bytes, past the page cache.
  [[nodiscard]] std::vector<std::byte> content() const { return read_file(dir_.path("disk")); }

 private:
  TempDir dir_;
  std::string path_;
};

}  // namespace ingot::test
