#include "imaging/config_drive/fat_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imaging/config_drive/memory_file.hpp"
#include "imaging/config_drive/tool.hpp"
#include "imaging/config_drive/tree_readers.hpp"

namespace ingot::imaging {
namespace {

constexpr std::uint64_t kCluster = 4096;
// Of a directory, an entry's long name takes at most 21 times 32 bytes.
constexpr std::uint64_t kEntryBytes = 21 * 32ULL;
constexpr std::string_view kForbidden = "\"*/:<>?\\|";

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Errc::usage_config_drive, "making a FAT file system of the config drive: " + why,
              "use fewer or smaller files, with plain names: the machine can fetch what is large "
              "from a URL");
}

// mtools would ask, or take a pattern, or change the name.
Result<void> check_names(const FileTree& tree) {
  std::set<std::string> seen;
  for (const TreeEntry& entry : tree) {
    const std::string name = entry.path.substr(entry.path.rfind('/') + 1);
    if (name.back() == '.' || name.back() == ' ' ||
        name.find_first_of(kForbidden) != std::string::npos)
      return refuse("it has a file name that such a file system cannot hold");
    std::string key = entry.path;
    for (char& c : key)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (!seen.insert(key).second) return refuse("two of its file names differ by case only");
  }
  return {};
}

// Room for the files, generously: clusters, directories, tables, the root directory.
std::uint64_t size_for(const FileTree& tree) {
  std::uint64_t size = MiB;
  for (const TreeEntry& entry : tree)
    size +=
        align_up(entry.content.size(), kCluster) + kEntryBytes + (entry.directory ? kCluster : 0);
  return align_up(size + size / 512, MiB);
}

Result<void> copy_files(const FileTree& tree, int image, std::uint64_t size,
                        const std::stop_token& stop) {
  for (const TreeEntry& entry : tree) {
    const std::string target = "::/" + entry.path;
    if (entry.directory) {
      INGOT_TRY(
          run_tool({"mmd", "mtools", {"-i", "/proc/self/fd/3", target}, {image}, size}, stop));
      continue;
    }
    INGOT_TRY_ASSIGN(const UniqueFd content, make_memory_file(entry.content));
    INGOT_TRY(run_tool({"mcopy",
                        "mtools",
                        {"-m", "-i", "/proc/self/fd/3", "/proc/self/fd/4", target},
                        {image, content.get()},
                        size},
                       stop));
  }
  return {};
}

// mtools gives a name of up to eight characters no long entry when the code page has all of them,
// and then only their upper case is stored: what does not come back as it was is refused.
Result<void> check_listing(const FileTree& tree, int image, const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const std::vector<std::string> paths, list_fat(image, stop));
  const std::set<std::string> there(paths.begin(), paths.end());
  for (const TreeEntry& entry : tree)
    if (!there.contains(entry.directory ? entry.path + "/" : entry.path))
      return refuse("it has a file name that such a file system cannot hold");
  return {};
}

}  // namespace

Result<ConfigDrive> write_fat(const FileTree& tree, const FatShape& shape,
                              const std::stop_token& stop) {
  const std::uint32_t sector_size = shape.sector_size;
  if (sector_size != 512 && sector_size != 1024 && sector_size != 2048 && sector_size != 4096)
    return refuse(fmt::format("FAT knows no sectors of {} bytes", sector_size));
  INGOT_TRY(check_names(tree));
  const std::uint64_t size = std::min(size_for(tree), align_down(shape.size_limit, sector_size));
  std::uint64_t content = 0;
  for (const TreeEntry& entry : tree) content += align_up(entry.content.size(), kCluster);
  if (content + 16 * kCluster > size)
    return refuse(fmt::format("its files do not fit into {}", format_bytes(shape.size_limit)));

  INGOT_TRY_ASSIGN(const UniqueFd image, make_memory_file(size));
  INGOT_TRY(
      run_tool({"mkfs.fat",
                "dosfstools",
                {"-S", std::to_string(sector_size), "-s", std::to_string(kCluster / sector_size),
                 "-n", shape.label, "--invariant", "/proc/self/fd/3"},
                {image.get()},
                size},
               stop));
  INGOT_TRY(copy_files(tree, image.get(), size, stop));
  INGOT_TRY(check_listing(tree, image.get(), stop));
  ConfigDrive made;
  made.kind = ConfigDrive::Kind::fat;
  made.label = shape.label;
  made.sector_size = sector_size;
  INGOT_TRY_ASSIGN(made.image, read_memory_file(image.get()));
  return made;
}

}  // namespace ingot::imaging
