// What the tests of erasing share: disks with real contents, and real tools as judges.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/units.hpp"
#include "disk/erase/erase.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::test {

/// Keeps what it is told.
class ToldListener final : public JobListener {
 public:
  void on_phase(Phase phase) override { phases.push_back(phase); }
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string& text) override { notes.push_back(text); }
  std::vector<Phase> phases;
  std::vector<std::string> notes;
};

struct Part {
  std::uint64_t offset, size;  // bytes
};

/// Makes a file of `part.size` bytes, runs `command` on it (FILE stands for it) and copies it to
/// its place on `disk`. Holes are left out.
inline void place(const std::string& disk, Part part, std::string command) {
  const TempDir dir;
  const std::string file = dir.path("content");
  std::ofstream(file).close();
  std::filesystem::resize_file(file, part.size);
  for (std::size_t at = 0; (at = command.find("FILE", at)) != std::string::npos; at += file.size())
    command.replace(at, 4, file);
  run(command);
  run("dd if=" + file + " of=" + disk + " bs=64K conv=notrunc,sparse,fsync oflag=seek_bytes seek=" +
      std::to_string(part.offset) + " status=none");
}

/// Bytes that no tool has a name for; to be found again where nothing is to be touched.
inline void mark(const std::string& disk, std::uint64_t offset) {
  run("head -c 64K /dev/zero | tr '\\0' M | dd of=" + disk +
      " bs=64K conv=notrunc,fsync oflag=seek_bytes seek=" + std::to_string(offset) +
      " status=none iflag=fullblock");
}

inline std::string bytes_at(const std::string& file, std::uint64_t offset, std::size_t length) {
  std::ifstream in(file, std::ios::binary);
  std::string text(length, '\0');
  in.seekg(static_cast<std::streamoff>(offset));
  in.read(text.data(), static_cast<std::streamsize>(length));
  EXPECT_TRUE(in.good()) << file << " at " << offset;
  return text;
}

inline void expect_mark(const std::string& file, std::uint64_t offset) {
  EXPECT_EQ(bytes_at(file, offset, 64 * KiB), std::string(64 * KiB, 'M')) << "at " << offset;
}

inline void expect_zeros(const std::string& file, std::uint64_t offset, std::size_t length) {
  EXPECT_EQ(bytes_at(file, offset, length), std::string(length, '\0')) << "at " << offset;
}

/// What blkid and wipefs find in a stretch of `file`, seen as a disk with such sectors; "" if
/// nothing.
inline std::string seen(const std::string& file, Part part, unsigned sector) {
  std::string device = run("losetup --find --show --read-only --sector-size " +
                           std::to_string(sector) + " --offset " + std::to_string(part.offset) +
                           " --sizelimit " + std::to_string(part.size) + " " + file);
  while (!device.empty() && device.back() == '\n') device.pop_back();
  std::string found =
      run("blkid -p " + device + " || test $? = 2") + run("wipefs --no-act " + device);
  detach_loop(device);
  return found;
}

inline disk::EraseOutcome erase_disk(const std::string& path, disk::EraseMethod method,
                                     const disk::EraseOptions& options = {},
                                     JobListener* listener = nullptr,
                                     ProgressCounters* counters = nullptr,
                                     const std::stop_token& stop = {}) {
  const auto target = disk::claim(path, {.read_only = options.dry_run});
  disk::EraseOutcome outcome;
  if (!target) {
    ADD_FAILURE() << target.error().message();
    outcome.error = target.error();
    return outcome;
  }
  ToldListener silent;
  ProgressCounters own;
  return disk::erase(*target, method, counters != nullptr ? *counters : own,
                     listener != nullptr ? *listener : silent, stop, options);
}

inline void expect_done(const disk::EraseOutcome& outcome) {
  EXPECT_FALSE(outcome.error.has_value())
      << outcome.error->message() << " (" << outcome.error->advice() << ")";
  EXPECT_EQ(outcome.state, disk::EraseState::erased);
}

/// Whether the survey has a signature whose type begins so, anywhere or in the region of that name.
inline bool has(const disk::Survey& found, const std::string& type,
                const std::string& region = "") {
  for (const auto& signature : found.signatures)
    if (signature.type.starts_with(type) &&
        (region.empty() || found.regions[signature.region].name == region))
      return true;
  return false;
}

inline std::string describe(const disk::Survey& found) {
  std::string text;
  for (const auto& region : found.regions)
    text += region.name + " " + std::to_string(region.offset) + "+" +
            std::to_string(region.length) + " " + region.partition_type + "\n";
  for (const auto& signature : found.signatures)
    text += "  " + signature.type + " at " + std::to_string(signature.offset) + " (" +
            found.regions[signature.region].name + ")\n";
  return text;
}

}  // namespace ingot::test
