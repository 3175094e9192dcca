/// Runs a program for a test and fails the test if that fails.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace ingot::test {

/// Runs `command` in a shell; its output is returned, its failure is a test failure.
inline std::string run(const std::string& command) {
  std::string output;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot run: " << command;
    return output;
  }
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    output.append(buffer, n);
  const int status = ::pclose(pipe);
  EXPECT_EQ(status, 0) << command << "\n" << output;
  return output;
}

/// A directory of the test's own, on disk (not a tmpfs), removed with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = "/var/tmp/ingot-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << pattern;
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A file system of the test's own, made with `mkfs` on `device` and mounted; unmounted with it,
/// also when the test fails, and thawed if the test froze it. Needs root.
class Mount {
 public:
  explicit Mount(const std::string& device, const std::string& mkfs = "mkfs.ext4 -q -m 0",
                 const std::string& name = "mnt")
      : where_(dir_.path(name)) {
    run(mkfs + " " + device);
    std::filesystem::create_directory(where_);
    run("mount " + device + " '" + where_ + "'");
  }
  ~Mount() {
    thaw();
    // What was frozen may still be writing for a moment.
    run("for try in 1 2 3 4 5 6 7 8 9 10; do umount '" + where_ +
        "' && exit 0; sleep 0.2; done; umount --lazy '" + where_ + "'; exit 1");
  }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  /// Every write to it hangs in the kernel, as on a device that does not answer, until thaw().
  void freeze() {
    run("fsfreeze --freeze '" + where_ + "'");
    frozen_ = true;
  }
  void thaw() {
    if (std::exchange(frozen_, false)) run("fsfreeze --unfreeze '" + where_ + "'");
  }
  [[nodiscard]] const std::string& path() const noexcept { return where_; }
  [[nodiscard]] std::string path(const std::string& name) const { return where_ + "/" + name; }

 private:
  TempDir dir_;
  std::string where_;
  bool frozen_ = false;
};

inline std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  EXPECT_TRUE(file.good()) << path;
  std::vector<std::byte> bytes(file.good() ? static_cast<std::size_t>(file.tellg()) : 0);
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

inline void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(file.good()) << path;
}

}  // namespace ingot::test
