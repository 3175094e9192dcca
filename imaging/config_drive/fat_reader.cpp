// read_fat(): by mtools, since libarchive reads no FAT.
#include <algorithm>
#include <string>

#include "imaging/config_drive/memory_file.hpp"
#include "imaging/config_drive/tool.hpp"
#include "imaging/config_drive/tree_readers.hpp"

namespace ingot::imaging {
namespace {

constexpr std::string_view kTop = "::/";
constexpr std::string_view kPatterns = "*?[]\\";  // mtools takes them for more than themselves

Result<SecretBytes> read_file(int image, const std::string& path, const TreeLimits& limits,
                              const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const UniqueFd out, make_memory_file(0));
  INGOT_TRY(run_tool({"mcopy",
                      "mtools",
                      {"-n", "-i", "/proc/self/fd/3", std::string(kTop) + path, "/proc/self/fd/4"},
                      {image, out.get()},
                      limits.content},
                     stop));
  return read_memory_file(out.get());
}

}  // namespace

Result<std::vector<std::string>> list_fat(int fd, std::stop_token stop) {
  // One path a line, each directory before what is in it.
  INGOT_TRY_ASSIGN(
      const std::string listing,
      run_tool({"mdir", "mtools", {"-/", "-a", "-b", "-i", "/proc/self/fd/3", "::"}, {fd}, 0},
               std::move(stop)));
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < listing.size();) {
    const std::size_t end = std::min(listing.find('\n', at), listing.size());
    std::string path = listing.substr(at, end - at);
    at = end + 1;
    if (!path.starts_with(kTop)) return refuse_tree("a file name that cannot be read");
    paths.push_back(path.substr(kTop.size()));
  }
  return paths;
}

Result<FileTree> read_fat(std::span<const std::byte> image, const TreeLimits& limits,
                          std::stop_token stop) {
  INGOT_TRY_ASSIGN(const UniqueFd file, make_memory_file(image));
  INGOT_TRY_ASSIGN(std::vector<std::string> paths, list_fat(file.get(), stop));
  TreeCollector tree(limits);
  for (std::string& path : paths) {
    if (path.find_first_of(kPatterns) != std::string::npos)
      return refuse_tree("a file name that cannot be read");
    TreeEntry entry;
    entry.directory = path.ends_with('/');
    if (entry.directory) path.pop_back();
    entry.path = std::move(path);
    INGOT_TRY(tree.reserve(0));
    if (!entry.directory) {
      INGOT_TRY_ASSIGN(entry.content, read_file(file.get(), entry.path, limits, stop));
    }
    INGOT_TRY(tree.add(std::move(entry)));
  }
  return tree.take();
}

}  // namespace ingot::imaging
