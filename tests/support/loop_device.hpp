/// A loop device of a test's own, on a sparse file of its own. Needs root.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/command.hpp"

namespace ingot::test {

/// Detaches the loop device at `path` (a line end behind it is no part of it) and waits until that
/// is done: while anybody has it open, if only to look at it, the kernel puts it off.
inline void detach_loop(std::string path) {
  while (!path.empty() && path.back() == '\n') path.pop_back();
  const std::string attribute =
      "/sys/block/" + path.substr(path.rfind('/') + 1) + "/loop/backing_file";
  const auto backing = [&attribute] {
    std::ifstream file(attribute);
    std::string name;
    std::getline(file, name);
    return name;
  };
  const std::string before = backing();
  run("losetup --detach " + path);
  for (int tries = 0; !before.empty() && backing() == before; ++tries) {
    if (tries == 500) {
      ADD_FAILURE() << path << " stays attached to " << before;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

class LoopDevice {
 public:
  /// `size` bytes, logical sectors of `sector` bytes; `options` are losetup's; `where` is the
  /// folder for the sparse file behind it, if it matters.
  explicit LoopDevice(std::uint64_t size, unsigned sector = 512, const std::string& options = "",
                      const std::string& where = "")
      : backing_(where.empty() ? dir_.path("disk") : where + "/disk") {
    const std::string& backing = backing_;
    std::ofstream(backing).close();
    std::filesystem::resize_file(backing, size);
    path_ = run("losetup --find --show --direct-io=on --sector-size " + std::to_string(sector) +
                " " + options + " " + backing);
    while (!path_.empty() && path_.back() == '\n') path_.pop_back();
  }
  ~LoopDevice() {
    if (!path_.empty()) detach_loop(path_);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// The file behind it.
  [[nodiscard]] const std::string& backing() const noexcept { return backing_; }
  /// Its bytes, past the page cache.
  [[nodiscard]] std::vector<std::byte> content() const { return read_file(backing_); }

 private:
  TempDir dir_;
  const std::string backing_;
  std::string path_;
};

}  // namespace ingot::test
