/// Volumes of a disk in directories of a test's own, for what reads boot menus.
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "disk/menu/boot_choice.hpp"
#include "tests/support/command.hpp"

namespace ingot::test {

class BootTree {
 public:
  /// A volume more, with the UUID "uuid-N", label "label-N" and number N, from 1; returns its
  /// index.
  std::size_t add(disk::VolumeRole role = disk::VolumeRole::other, bool gpt = true) {
    const auto number = static_cast<unsigned>(volumes_.size() + 1);
    const std::string folder = folder_of(volumes_.size());
    std::filesystem::create_directory(folder);
    UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const std::string n = std::to_string(number);
    volumes_.push_back({disk::FileTree(std::move(fd), "partition " + n), number, gpt, role,
                        "uuid-" + n, "label-" + n});
    return volumes_.size() - 1;
  }
  void put(std::size_t volume, const std::string& path, const std::string& content = "x") {
    const std::filesystem::path file = folder_of(volume) + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }
  void link(std::size_t volume, const std::string& path, const std::string& target) {
    const std::filesystem::path file = folder_of(volume) + path;
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink(target, file);
  }
  [[nodiscard]] std::string folder_of(std::size_t volume) const {
    return dir_.path(std::to_string(volume));
  }
  [[nodiscard]] disk::BootVolumes& volumes() { return volumes_; }

 private:
  TempDir dir_;
  disk::BootVolumes volumes_;
};

/// A PE file with these sections, as far as a reader of its section table can tell.
inline std::string pe_file(const std::vector<std::pair<std::string, std::string>>& sections) {
  const auto number = [](std::string& bytes, std::size_t at, std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
  };
  constexpr std::size_t kPe = 128, kTable = kPe + 24;
  std::string file(kTable + sections.size() * 40, '\0');
  file.replace(0, 2, "MZ");
  number(file, 60, kPe, 4);
  file.replace(kPe, 4, std::string("PE\0\0", 4));
  number(file, kPe + 6, sections.size(), 2);
  std::size_t at = kTable;
  for (const auto& [name, content] : sections) {
    file.replace(at, name.size(), name);
    number(file, at + 8, content.size(), 4);
    number(file, at + 16, (content.size() + 511) / 512 * 512, 4);
    number(file, at + 20, file.size(), 4);
    file += content + std::string((512 - content.size() % 512) % 512, '\0');
    at += 40;
  }
  return file;
}

}  // namespace ingot::test
