#include "disk/sysfs.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <fstream>

namespace ingot::disk::sysfs {

namespace fs = std::filesystem;

fs::path folder_of(dev_t device) {
  return fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
}

std::string name_of(dev_t device) {
  std::error_code error;
  const fs::path folder = fs::canonical(folder_of(device), error);
  return error ? std::string() : folder.filename().string();
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<dev_t> number_of(const fs::path& folder) {
  unsigned high = 0, low = 0;
  if (std::sscanf(first_line(folder / "dev").c_str(), "%u:%u", &high, &low) != 2)
    return std::nullopt;
  return makedev(high, low);
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    found.push_back(it->path());
  return found;
}

std::vector<fs::path> partitions(const fs::path& disk) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : entries(disk))
    if (fs::exists(entry / "partition", error)) found.push_back(entry);
  return found;
}

}  // namespace ingot::disk::sysfs
