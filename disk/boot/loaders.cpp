#include "disk/boot/loaders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>

#include "disk/boot/entry_text.hpp"

namespace ingot::disk {
namespace {

struct KnownFile {
  std::string_view name;
  std::string_view architecture;  // "": it does not say
};

// The names, and their order, are those that Ironic's agent looks for.
constexpr std::array kCsvFiles = {
    KnownFile{"bootx64.csv", "x64"},
    KnownFile{"bootaa64.csv", "aa64"},
    KnownFile{"boot.csv", ""},
};
constexpr std::array kLoaderFiles = {
    KnownFile{"bootia32.efi", "ia32"},       KnownFile{"bootx64.efi", "x64"},
    KnownFile{"bootia64.efi", "ia64"},       KnownFile{"bootarm.efi", "arm"},
    KnownFile{"bootaa64.efi", "aa64"},       KnownFile{"bootriscv32.efi", "riscv32"},
    KnownFile{"bootriscv64.efi", "riscv64"}, KnownFile{"bootriscv128.efi", "riscv128"},
    KnownFile{"grubaa64.efi", "aa64"},       KnownFile{"winload.efi", ""},
};

// "EFI/debian" of "EFI/debian/shimx64.efi".
std::string_view folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string as_firmware_has_it(std::string_view path) {
  std::string text = fmt::format("\\{}", path);
  std::ranges::replace(text, '/', '\\');
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The files of `files` that are among `known`, those for this machine first.
template <std::size_t count>
std::vector<std::string> known_files(const std::vector<std::string>& files,
                                     const std::array<KnownFile, count>& known,
                                     std::string_view architecture) {
  // For this machine, for any, for another; then as near to the top as can be.
  using Rank = std::tuple<int, std::ptrdiff_t, std::size_t, std::string>;
  std::vector<Rank> ranked;
  for (const std::string& path : files)
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (!same_name(name_of(path), known[i].name)) continue;
      const int fit = known[i].architecture == architecture ? 0
                      : known[i].architecture.empty()       ? 1
                                                            : 2;
      ranked.emplace_back(fit, std::ranges::count(path, '/'), i, path);
    }
  std::ranges::sort(ranked);
  std::vector<std::string> found;
  for (auto& rank : ranked) found.push_back(std::move(std::get<std::string>(rank)));
  return found;
}

// The next field of a line: up to a comma, which is taken as well.
std::string_view take_field(std::string_view& line) {
  const auto comma = line.find(',');
  const auto field = line.substr(0, comma);
  line = comma == std::string_view::npos ? std::string_view() : line.substr(comma + 1);
  return field;
}

std::optional<BootEntry> parse_line(std::string_view line, std::string_view folder,
                                    const std::vector<std::string>& files) {
  const auto file = trimmed(take_field(line));
  const auto label = trimmed(take_field(line));
  const auto options = take_field(line);  // blanks at its end are part of it for some loaders
  if (file.empty() || label.empty() || !fits_entry(label) || !fits_entry(options) ||
      options.size() > kLongestOptions)
    return std::nullopt;
  std::string path = fmt::format("{}/{}", folder, file);
  std::ranges::replace(path, '\\', '/');
  const auto place = std::ranges::find_if(
      files, [&path](const std::string& each) { return same_name(each, path); });
  if (place == files.end()) return std::nullopt;
  return BootEntry{first_characters(label, kLongestLabel), as_firmware_has_it(*place),
                   trimmed(options).empty() ? std::string() : std::string(options), 0};
}

// The directory below \EFI is the vendor's, and says whose loader it is; all but \EFI\BOOT, which
// everybody shares.
std::string label_of(std::string_view path, const std::vector<BootEntry>& taken) {
  const auto folder = folder_of(path);
  const auto first = folder.find('/');
  if (first != std::string_view::npos) {
    const auto vendor = trimmed(folder.substr(first + 1, folder.find('/', first + 1) - first - 1));
    auto label = first_characters(vendor, kLongestLabel);
    if (!label.empty() && !same_name(label, "boot") &&
        std::ranges::none_of(taken, [&label](const auto& each) { return each.label == label; }))
      return label;
  }
  return fmt::format("ingot{}", taken.size() + 1);
}

}  // namespace

std::vector<BootEntry> parse_boot_csv(std::string_view content, std::string_view folder,
                                      const std::vector<std::string>& files) {
  const std::string text = utf8_of_utf16(content, kMostCsvBytes);
  std::string_view rest = text;
  std::vector<BootEntry> entries;
  while (!rest.empty() && entries.size() < kMostBootEntries) {
    const auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\0')) line.remove_suffix(1);
    auto entry = parse_line(line, folder, files);
    if (entry && std::ranges::find(entries, *entry) == entries.end())
      entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<Loaders> find_loaders(std::vector<std::string> files, std::string_view architecture,
                             const ReadFile& read) {
  for (const std::string& csv : known_files(files, kCsvFiles, architecture)) {
    const auto content = read(csv);
    if (!content) {
      if (content.error().cls() != ErrorClass::device) return tl::unexpected(content.error());
      continue;
    }
    auto entries = parse_boot_csv(*content, folder_of(csv), files);
    if (!entries.empty())
      return Loaders{BootOutcome::from_csv, as_firmware_has_it(csv), std::move(entries)};
  }
  Loaders found;
  for (const std::string& path : known_files(files, kLoaderFiles, architecture)) {
    if (found.entries.size() == kMostBootEntries) break;
    found.outcome = BootOutcome::from_loaders;
    found.entries.push_back({label_of(path, found.entries), as_firmware_has_it(path), {}, 0});
  }
  return found;
}

}  // namespace ingot::disk
