/// Disks with EFI system partitions as mkfs.vfat and mtools make them, and an efibootmgr that
/// writes down what it is told. Needs root.
#pragma once

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {

/// UTF-16LE, with a byte order mark unless told otherwise.
inline std::string utf16(const std::u16string& text, bool mark = true) {
  std::string bytes = mark ? "\xFF\xFE" : "";
  for (const char16_t c : text) {
    bytes += static_cast<char>(c & 0xFF);
    bytes += static_cast<char>(c >> 8);
  }
  return bytes;
}

/// A loop device with a partition table.
class BootDisk {
 public:
  /// `table` is sfdisk's script; offsets in it count sectors of `sector` bytes.
  explicit BootDisk(const std::string& table, unsigned sector = 512)
      : disk_(96ULL << 20, sector), sector_(sector) {
    const std::string script = dir_.path("table");
    std::ofstream(script) << table << "\n";
    run("sfdisk --quiet --no-reread --no-tell-kernel " + path() + " <" + script);
  }

  /// A FAT file system of `sectors` sectors at `start`.
  void format(unsigned start, unsigned sectors) {
    offset_ = std::uint64_t{start} * sector_;
    const std::uint64_t blocks = std::uint64_t{sectors} * sector_ / 1024;
    const std::string file = dir_.path("fat");
    run("rm -f " + file + "; mkfs.vfat -S " + std::to_string(sector_) + " -s 1 -C " + file + " " +
        std::to_string(blocks) + " >/dev/null && dd if=" + file + " of=" + path() +
        " bs=64K oflag=seek_bytes conv=notrunc,fsync status=none seek=" + std::to_string(offset_));
  }

  /// A file of the file system that was made last, with the directories above it.
  void put(const std::string& name, const std::string& content = "MZ") {
    for (auto slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1))
      run(mtools("mmd -D s") + " '::/" + name.substr(0, slash) + "' || true");
    const std::string file = dir_.path("content");
    std::ofstream(file, std::ios::binary) << content;
    run(mtools("mcopy -o") + " " + file + " '::/" + name + "'");
  }

  /// Bytes of the disk that are `from` become `to`, of the same length.
  void replace(const std::string& from, const std::string& to) {
    const std::string all = bytes();
    const auto at = all.find(from);
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(from.size(), to.size());
    std::fstream out(path(), std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(at));
    out << to;
    out.close();
    run("blockdev --flushbufs " + path());
  }

  [[nodiscard]] std::string bytes() const {
    const auto content = disk_.content();
    return {reinterpret_cast<const char*>(content.data()), content.size()};
  }
  [[nodiscard]] const std::string& path() const noexcept { return disk_.path(); }
  [[nodiscard]] const LoopDevice& disk() const noexcept { return disk_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  [[nodiscard]] std::string mtools(const std::string& command) const {
    return "LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1 " + command + " -i " + path() + "@@" +
           std::to_string(offset_);
  }

  TempDir dir_;
  LoopDevice disk_;
  unsigned sector_;
  std::uint64_t offset_ = 0;
};

/// A machine that was started by UEFI, or not, as far as sysfs and efibootmgr show it.
class Firmware {
 public:
  explicit Firmware(bool uefi = true) {
    std::filesystem::create_directories(dir_.path("sys"));
    if (!uefi) return;
    std::filesystem::create_directories(dir_.path("sys/firmware/efi"));
    std::ofstream(dir_.path("sys/firmware/efi/fw_platform_size")) << "64\n";
    entries("");
    // Its arguments, one a line, each run ended by an empty one; -v shows the entries; with a file
    // "fail" it fails for runs with that argument.
    std::ofstream(efibootmgr()) << "#!/bin/sh\n"
                                << "cd " << dir_.path("") << "\n"
                                << "for word; do printf '%s\\n' \"$word\"; done >>calls\n"
                                << "echo >>calls\n"
                                << "if [ -e fail ]; then for word; do\n"
                                << "  [ \"$word\" != \"$(cat fail)\" ] || { echo 'Could not "
                                   "prepare Boot variable:\tNo space left on device' >&2; exit 5; }"
                                   "\n"
                                << "done; fi\n"
                                << "[ \"$1\" != -v ] || cat entries\n";
    std::filesystem::permissions(efibootmgr(), std::filesystem::perms::owner_all);
  }

  void entries(const std::string& listing) {
    std::ofstream(dir_.path("entries"), std::ios::binary) << listing;
  }
  void fail_with(const std::string& argument) { std::ofstream(dir_.path("fail")) << argument; }
  void platform_size(int bits) {
    std::ofstream(dir_.path("sys/firmware/efi/fw_platform_size")) << bits << "\n";
  }

  /// The arguments of each run so far.
  [[nodiscard]] std::vector<std::vector<std::string>> calls() const {
    std::vector<std::vector<std::string>> all;
    std::ifstream file(dir_.path("calls"));
    std::vector<std::string> one;
    for (std::string line; std::getline(file, line);)
      if (line.empty())
        all.push_back(std::exchange(one, {}));
      else
        one.push_back(line);
    return all;
  }

  [[nodiscard]] std::string sysfs() const { return dir_.path("sys"); }
  [[nodiscard]] std::string efibootmgr() const { return dir_.path("efibootmgr"); }

 private:
  TempDir dir_;
};

}  // namespace ingot::test
