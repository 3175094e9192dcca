#include "disk/menu/loader_entries.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <compare>
#include <tuple>
#include <utility>

#include "disk/boot/entry_text.hpp"
#include "disk/menu/pe_sections.hpp"
#include "disk/menu/version_order.hpp"

namespace ingot::disk {
namespace {

constexpr std::string_view kBlank = " \t\r";
constexpr const char* kEntries = "/loader/entries";
constexpr const char* kUnified = "/EFI/Linux";

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// Calls `line` for each line that is neither empty nor a comment.
template <class Line>
void each_line(std::string_view text, Line line) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view whole = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!whole.empty() && !whole.starts_with('#')) line(whole);
  }
}

// The same for lines of the kind that loader.conf and entries have: `each(key, value)`.
template <class Each>
void each_key(std::string_view text, Each each) {
  each_line(text, [&each](std::string_view line) {
    const auto end = std::min(line.find_first_of(kBlank), line.size());
    each(line.substr(0, end), trim(line.substr(end)));
  });
}

std::optional<unsigned> number(std::string_view digits) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return value;
}

// "ID+LEFT-DONE" becomes its parts. What only looks like counters is part of the id.
void read_counters(std::string_view stem, LoaderEntry& entry) {
  entry.id = stem;
  const auto plus = stem.rfind('+');
  if (plus == std::string_view::npos) return;
  const std::string_view counters = stem.substr(plus + 1);
  const auto dash = counters.find('-');
  const auto left = number(counters.substr(0, dash));
  const auto done = dash == std::string_view::npos ? 0U : number(counters.substr(dash + 1));
  if (!left || !done) return;
  entry.id = stem.substr(0, plus);
  entry.tries_left = left;
  entry.tries_done = *done;
}

std::string_view without_suffix(std::string_view name) {
  return name.substr(0, std::min(name.rfind('.'), name.size()));
}

bool ends_with(std::string_view name, std::string_view suffix) {
  return name.size() > suffix.size() && same_name(name.substr(name.size() - suffix.size()), suffix);
}

// The order of the specification: true if `one` stands above `other`.
bool above(const LoaderEntry& one, const LoaderEntry& other) {
  if (one.bad() != other.bad()) return !one.bad();
  if (one.sort_key.empty() != other.sort_key.empty()) return !one.sort_key.empty();
  if (!one.sort_key.empty()) {
    if (const int order = one.sort_key.compare(other.sort_key); order != 0) return order < 0;
    if (const int order = one.machine_id.compare(other.machine_id); order != 0) return order < 0;
    if (const auto order = compare_versions(one.version, other.version); std::is_neq(order))
      return std::is_gt(order);
  }
  if (const auto order = compare_versions(one.id, other.id); std::is_neq(order))
    return std::is_gt(order);
  return std::tuple(one.tries_done, one.volume, one.path) <
         std::tuple(other.tries_done, other.volume, other.path);
}

Result<std::string> section_text(const UniqueFd& file, const PeSection& section,
                                 const std::string& name) {
  if (section.size > kMostMenuBytes)
    return fail(Errc::image_unsupported, fmt::format("{}: its {} is too long", name, section.name));
  std::string text(section.size, '\0');
  for (std::size_t have = 0; have < text.size();) {
    const ssize_t got = ::pread(file.get(), text.data() + have, text.size() - have,
                                static_cast<off_t>(section.offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return fail(Errc::image_unsupported,
                  fmt::format("{}: its {} cannot be read", name, section.name));
    have += static_cast<std::size_t>(got);
  }
  return text.substr(0, std::min(text.find('\0'), text.size()));
}

// VERSION_ID and the like of an os-release file. Of a shell's quoting only what real files use.
std::string release_value(std::string_view text, std::string_view key) {
  std::string value;
  each_line(text, [&](std::string_view line) {
    const auto equals = line.find('=');
    if (equals == std::string_view::npos || line.substr(0, equals) != key) return;
    std::string_view whole = line.substr(equals + 1);
    if (whole.size() > 1 && (whole.front() == '"' || whole.front() == '\'') &&
        whole.front() == whole.back())
      whole = whole.substr(1, whole.size() - 2);
    value = whole;
  });
  return value;
}

std::string message_name(const BootVolumes& volumes, std::size_t volume, const std::string& path) {
  return fmt::format("{}: {}", volumes[volume].tree.name(), shown(path));
}

struct Unified {
  BootChoice choice;
  std::string version, sort_key;
};

Result<Unified> look_into_unified(const BootVolumes& volumes, std::size_t volume,
                                  const std::string& path) {
  const std::string name = message_name(volumes, volume, path);
  INGOT_TRY_ASSIGN(const UniqueFd file, volumes[volume].tree.open(path));
  INGOT_TRY_ASSIGN(const auto sections, read_pe_sections(file.get(), name));
  Unified found;
  found.choice.source = path;
  const auto stretch = [&](const PeSection& section) {
    return BootFile{volume, path, section.offset, section.size};
  };
  bool kernel = false;
  std::vector<BootFile> microcode;
  for (const PeSection& section : sections) {
    if (section.name == ".profile")
      return fail(Errc::image_unsupported, name + ": it has profiles, which only its stub applies");
    if (section.name == ".linux") {
      if (std::exchange(kernel, true))
        return fail(Errc::image_unsupported, name + ": it has more than one kernel");
      found.choice.kernel = stretch(section);
    } else if (section.name == ".initrd") {
      found.choice.initrds.push_back(stretch(section));
    } else if (section.name == ".ucode") {
      microcode.push_back(stretch(section));
    } else if (section.name == ".cmdline") {
      INGOT_TRY_ASSIGN(const std::string text, section_text(file, section, name));
      std::string_view line = text;
      while (line.ends_with('\n')) line.remove_suffix(1);
      found.choice.command_line = trim(line);
    } else if (section.name == ".osrel") {
      INGOT_TRY_ASSIGN(const std::string text, section_text(file, section, name));
      found.choice.title = release_value(text, "PRETTY_NAME");
      found.version = release_value(text, "VERSION_ID");
      found.sort_key = release_value(text, "IMAGE_ID");
      if (found.sort_key.empty()) found.sort_key = release_value(text, "ID");
    }
  }
  if (!kernel) return fail(Errc::image_unsupported, name + ": it has no kernel inside");
  // The kernel takes microcode from the front alone.
  found.choice.initrds.insert(found.choice.initrds.begin(), microcode.begin(), microcode.end());
  if (found.choice.initrds.size() > kMostInitrds)
    return fail(Errc::image_unsupported, name + ": it has too many initrds");
  // The stub would add what it finds beside the image.
  for (const std::string& folder : {path + ".extra.d", std::string("/loader/addons")})
    if (volumes[volume].tree.kind(folder) == FileTree::Kind::directory) {
      INGOT_TRY_ASSIGN(const auto names, volumes[volume].tree.list(folder, kMostMenuFiles));
      if (!names.empty())
        return fail(Errc::image_unsupported,
                    fmt::format("{}: its stub would add what is in {}", name, shown(folder)));
    }
  return found;
}

Result<BootChoice> choice_of(const BootVolumes& volumes, const LoaderEntry& entry) {
  const std::string name = message_name(volumes, entry.volume, entry.path);
  if (entry.unified) return open_unified(volumes, entry.volume, entry.path);
  if (entry.linux_path.empty()) {
    auto inside = open_unified(volumes, entry.volume, entry.efi_path);
    if (!inside) return tl::unexpected(inside.error().with_context(name));
    if (!entry.options.empty()) inside->command_line = entry.options;
    inside->title = entry.title;
    inside->source = entry.path;
    return inside;
  }
  if (!entry.device_tree.empty())
    return fail(Errc::image_unsupported, name + ": it has a device tree, which kexec cannot pass");
  BootChoice choice;
  choice.title = entry.title.empty() ? entry.id : entry.title;
  choice.source = entry.path;
  choice.kernel = {entry.volume, entry.linux_path};
  choice.command_line = entry.options;
  for (const std::string& initrd : entry.initrds) choice.initrds.push_back({entry.volume, initrd});
  if (entry.initrds.size() > kMostInitrds)
    return fail(Errc::image_unsupported, name + ": it has too many initrds");
  std::string all = entry.options + entry.linux_path;
  for (const std::string& initrd : entry.initrds) all += initrd;
  if (all.find('$') != std::string::npos)
    return fail(Errc::image_unsupported, name + ": it has variables, which only GRUB knows");
  return choice;
}

struct LoaderConf {
  std::vector<std::string> defaults;  // patterns, most wanted first
};

Result<LoaderConf> read_loader_conf(const BootVolumes& volumes) {
  LoaderConf conf;
  for (const BootVolume& volume : volumes) {
    if (volume.role != VolumeRole::system ||
        volume.tree.kind("/loader/loader.conf") != FileTree::Kind::file)
      continue;
    INGOT_TRY_ASSIGN(const std::string text,
                     volume.tree.read("/loader/loader.conf", kMostMenuBytes));
    std::string preferred, standard;
    each_key(text, [&](std::string_view key, std::string_view value) {
      if (key == "preferred") preferred = value;
      if (key == "default") standard = value;
    });
    for (std::string& pattern : std::array{std::move(preferred), std::move(standard)})
      if (!pattern.empty()) conf.defaults.push_back(std::move(pattern));
    break;
  }
  return conf;
}

// Older versions of systemd-boot match without the suffix.
bool fits(const std::string& pattern, const LoaderEntry& entry) {
  const std::string whole = entry.id + (entry.unified ? ".efi" : ".conf");
  return ::fnmatch(pattern.c_str(), whole.c_str(), FNM_CASEFOLD) == 0 ||
         ::fnmatch(pattern.c_str(), entry.id.c_str(), FNM_CASEFOLD) == 0;
}

}  // namespace

LoaderEntry parse_loader_entry(std::string_view file_name, std::string_view text) {
  LoaderEntry entry;
  read_counters(without_suffix(file_name), entry);
  each_key(text, [&entry](std::string_view key, std::string_view value) {
    if (key == "title") entry.title = value;
    if (key == "version") entry.version = value;
    if (key == "machine-id") entry.machine_id = value;
    if (key == "sort-key") entry.sort_key = value;
    if (key == "architecture") entry.architecture = value;
    if (key == "linux") entry.linux_path = value;
    if (key == "efi" || key == "uki") entry.efi_path = value;
    if (key == "devicetree") entry.device_tree = value;
    if (key == "initrd") entry.initrds.emplace_back(value);
    if (key == "options" && !value.empty()) {
      if (!entry.options.empty()) entry.options += ' ';
      entry.options += value;
    }
  });
  return entry;
}

void sort_entries(std::vector<LoaderEntry>& entries) {
  std::ranges::sort(entries, above);
}

Result<std::vector<LoaderEntry>> read_entries(const BootVolumes& volumes, std::size_t volume,
                                              const std::string& directory) {
  const FileTree& tree = volumes[volume].tree;
  std::vector<LoaderEntry> entries;
  INGOT_TRY_ASSIGN(const auto names, tree.list(directory, kMostMenuFiles));
  for (const std::string& name : names) {
    const std::string path = fmt::format("{}/{}", directory, name);
    if (!ends_with(name, ".conf") || tree.kind(path) != FileTree::Kind::file) continue;
    INGOT_TRY_ASSIGN(const std::string text, tree.read(path, kMostMenuBytes));
    LoaderEntry entry = parse_loader_entry(name, text);
    if (entry.linux_path.empty() && entry.efi_path.empty()) continue;
    entry.volume = volume;
    entry.path = path;
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<BootChoice> open_unified(const BootVolumes& volumes, std::size_t volume,
                                const std::string& path) {
  INGOT_TRY_ASSIGN(Unified found, look_into_unified(volumes, volume, path));
  return std::move(found.choice);
}

Result<std::optional<BootChoice>> choose_loader_entry(const BootVolumes& volumes,
                                                      const BootFirmware& firmware) {
  std::vector<LoaderEntry> entries;
  for (std::size_t volume = 0; volume < volumes.size(); ++volume) {
    if (volumes[volume].role == VolumeRole::other) continue;
    INGOT_TRY_ASSIGN(auto found, read_entries(volumes, volume, kEntries));
    std::ranges::move(found, std::back_inserter(entries));
    if (!firmware.uefi) continue;
    INGOT_TRY_ASSIGN(const auto names, volumes[volume].tree.list(kUnified, kMostMenuFiles));
    for (const std::string& name : names) {
      if (!ends_with(name, ".efi")) continue;
      const std::string path = fmt::format("{}/{}", kUnified, name);
      auto inside = look_into_unified(volumes, volume, path);
      LoaderEntry entry;
      read_counters(without_suffix(name), entry);
      entry.unified = true;
      entry.volume = volume;
      entry.path = path;
      if (inside) {
        entry.title = inside->choice.title;
        entry.version = inside->version;
        entry.sort_key = inside->sort_key;
      }
      entries.push_back(std::move(entry));  // it has its place, though it may not be usable
    }
  }
  std::erase_if(entries, [&firmware](const LoaderEntry& entry) {
    return (!entry.architecture.empty() && !same_name(entry.architecture, firmware.architecture)) ||
           (!entry.unified && entry.linux_path.empty() && !firmware.uefi);
  });
  if (entries.empty()) return std::optional<BootChoice>();
  sort_entries(entries);
  INGOT_TRY_ASSIGN(const LoaderConf conf, read_loader_conf(volumes));
  for (const std::string& pattern : conf.defaults)
    for (const LoaderEntry& entry : entries)
      if (fits(pattern, entry)) return choice_of(volumes, entry);
  return choice_of(volumes, entries.front());
}

}  // namespace ingot::disk
