#include <fmt/format.h>

#include "imaging/config_drive/tree_readers.hpp"

namespace ingot::imaging {

tl::unexpected<Error> refuse_tree(const std::string& why) {
  return fail(Errc::usage_config_drive, "reading the config drive's files: " + why,
              "make the config drive anew; docs/config-drive.md shows how");
}

Result<void> TreeCollector::reserve(std::uint64_t size) {
  if (tree_.size() >= limits_.entries)
    return refuse_tree(fmt::format("more than {} files", limits_.entries));
  if (size > limits_.content - content_)
    return refuse_tree(fmt::format("more than {} in all", format_bytes(limits_.content)));
  return {};
}

Result<void> TreeCollector::add(TreeEntry entry) {
  INGOT_TRY(reserve(entry.content.size()));
  std::size_t components = 0, at = 0;
  for (std::size_t end = 0; end != std::string::npos; at = end + 1, ++components) {
    end = entry.path.find('/', at);
    if (!is_plain_name(entry.path.substr(at, end - at)))
      return refuse_tree("a file name that cannot be one");
  }
  if (components > limits_.depth || entry.path.size() > limits_.path_size)
    return refuse_tree("a path too long or too deep");
  const std::size_t slash = entry.path.rfind('/');
  if (slash != std::string::npos) {
    const TreeEntry* const parent = find(entry.path.substr(0, slash));
    if (parent == nullptr || !parent->directory)
      return refuse_tree("a file outside every directory");
  }
  if (!places_.emplace(entry.path, tree_.size()).second)
    return refuse_tree("a file name that is there twice");
  content_ += entry.content.size();
  tree_.push_back(std::move(entry));
  return {};
}

const TreeEntry* TreeCollector::find(const std::string& path) const {
  const auto place = places_.find(path);
  return place == places_.end() ? nullptr : &tree_[place->second];
}

}  // namespace ingot::imaging
