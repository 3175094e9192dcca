#include "disk/inventory/device_links.hpp"

#include <algorithm>
#include <optional>
#include <system_error>

#include "disk/inventory/attribute.hpp"

namespace ingot::disk {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLinks = 65'536;  // read of one folder

// What a link leads to, by its words alone: the node may be gone by now.
std::optional<fs::path> target_of(const fs::path& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link, error);
  if (error) return std::nullopt;
  return (link.parent_path() / target).lexically_normal();
}

void search(const fs::path& folder, const fs::path& node, std::vector<std::string>& into) {
  std::error_code error;
  std::size_t seen = 0;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (++seen > kMostLinks) return;
    if (target_of(it->path()) == node) into.push_back(it->path().string());
  }
}

}  // namespace

DeviceLinks links_to(const fs::path& node, const fs::path& dev, const UdevProperties& udev) {
  const std::string path_folder = (dev / "disk/by-path").string();
  const std::string id_folder = (dev / "disk/by-id").string();
  const fs::path ours = node.lexically_normal();
  DeviceLinks found;
  for (const std::string& link : udev.links) {
    const auto target = target_of(link);
    if (target && *target != ours) continue;
    if (link.starts_with(path_folder + '/')) found.by_path.push_back(link);
    if (link.starts_with(id_folder + '/')) found.by_id.push_back(link);
  }
  if (udev.links.empty()) {
    search(path_folder, ours, found.by_path);
    search(id_folder, ours, found.by_id);
  }
  for (auto* links : {&found.by_path, &found.by_id}) {
    // A name that is not all printable could not be typed either.
    std::erase_if(*links, [](const std::string& link) { return clean_text(link) != link; });
    std::ranges::sort(*links);
  }
  return found;
}

}  // namespace ingot::disk
