#include "disk/menu/grub_entries.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ingot::disk {

GrubEntry parse_grub_entry(const std::vector<GrubText>& arguments) {
  GrubEntry entry;
  entry.submenu = arguments[0].text == "submenu";
  bool titled = false;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& text = arguments[i].text;
    entry.name_known = entry.name_known && arguments[i].known;
    if (text == "--unrestricted") {
      entry.unrestricted = true;
    } else if (text == "--id" && i + 1 < arguments.size()) {
      entry.name_known = entry.name_known && arguments[i + 1].known;
      entry.id = arguments[++i].text;
    } else if (text.starts_with("--id=")) {
      entry.id = text.substr(5);
    } else if (text == "--class" || text == "--users" || text == "--hotkey") {
      ++i;
    } else if (!text.starts_with("--") && !std::exchange(titled, true)) {
      entry.title = text;
    }
  }
  if (entry.id.empty()) entry.id = entry.title;
  return entry;
}

void GrubEntries::doubt() {
  certain = std::min(certain.value_or(entries.size()), entries.size());
}

Result<std::size_t> GrubEntries::find(const std::string& wanted) const {
  const std::size_t known = certain.value_or(entries.size());
  std::size_t index = 0;
  const char* const end = wanted.data() + wanted.size();
  const auto [rest, error] = std::from_chars(wanted.data(), end, index);
  if (error == std::errc() && (rest == end || *rest == '>' || *rest == ' ')) {
    if (index >= entries.size() && !certain) index = 0;
  } else if (!wanted.empty()) {
    const std::string name = first_of_path(wanted);
    for (index = 0; index < known; ++index) {
      if (!entries[index].name_known)
        return fail(Errc::image_unsupported, "an entry's title is not known here");
      if (entries[index].title == name || entries[index].id == name) break;
    }
    if (index == known && !certain) index = 0;
  }
  if (index < known) return index;
  return fail(Errc::image_unsupported,
              certain ? "which entry is the default one depends on what is not known here"
                      : "the menu has no entries");
}

std::string first_of_path(const std::string& path) {
  std::string name;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '>' && (i + 1 == path.size() || path[++i] != '>')) return name;
    name += path[i];
  }
  return name;
}

std::string below(const std::string& path) {
  for (std::size_t i = 0; i < path.size(); ++i)
    if (path[i] == '>' && (i + 1 == path.size() || path[++i] != '>')) return path.substr(i);
  return {};
}

}  // namespace ingot::disk
