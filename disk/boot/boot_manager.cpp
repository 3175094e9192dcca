#include "disk/boot/boot_manager.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "disk/boot/entry_text.hpp"
#include "disk/core/subprocess.hpp"
#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kMostOutput = MiB;
constexpr std::uint64_t kMostVariable = MiB;  // firmware has far less room
constexpr std::string_view kPrefix = "Boot";
constexpr std::size_t kDigits = 4;

bool is_entry(std::string_view line) {
  if (!line.starts_with(kPrefix) || line.size() < kPrefix.size() + kDigits + 2) return false;
  const auto number = line.substr(kPrefix.size(), kDigits);
  const auto after = line.substr(kPrefix.size() + kDigits);
  return std::ranges::all_of(number, [](unsigned char c) { return std::isxdigit(c) != 0; }) &&
         (after[0] == '*' || after[0] == ' ') && after[1] == ' ';
}

}  // namespace

bool FirmwareEntry::on_partition() const {
  return path.find("HD(") != std::string::npos;
}

std::vector<FirmwareEntry> parse_efibootmgr(std::string_view output) {
  std::string text(output);
  std::erase(text, '\0');
  std::vector<FirmwareEntry> entries;
  std::string_view rest = text;
  if (rest.starts_with("\xFF\xFE")) rest.remove_prefix(2);
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (!is_entry(line)) continue;
    FirmwareEntry entry;
    entry.number = line.substr(kPrefix.size(), kDigits);
    line.remove_prefix(kPrefix.size() + kDigits + 2);
    const auto tab = line.find('\t');
    entry.label = line.substr(0, tab);
    if (tab != std::string_view::npos) entry.path = line.substr(tab + 1);
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<BootManager> BootManager::find(const std::string& program) {
  if (!program.empty() && ::access(program.c_str(), X_OK) == 0) return BootManager(program);
  const auto found = program.empty() ? find_program("efibootmgr") : std::nullopt;
  if (!found)
    return fail(Errc::write_boot_entry,
                fmt::format("the firmware's boot entries: {} is not on this machine",
                            program.empty() ? "efibootmgr" : program),
                "install Debian's package efibootmgr: this machine was started by UEFI");
  return BootManager(*found);
}

Result<std::string> BootManager::run(const std::string& what,
                                     const std::vector<std::string>& arguments,
                                     const std::stop_token& stop) const {
  SubprocessRequest request;
  request.argv = {program_};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  request.timeout = kPatience;
  request.output_limit = kMostOutput;
  request.file_size = kMostVariable;
  request.drop_privileges = false;
  request.error_code = Errc::write_boot_entry;
  INGOT_TRY_ASSIGN(auto outcome, run_subprocess(request, stop));
  if (!outcome.ok())
    return fail(Errc::write_boot_entry,
                fmt::format("{}: efibootmgr failed ({}; {})", what, outcome.describe_end(),
                            shown(outcome.err.empty() ? outcome.out : outcome.err)),
                "run this as root; mount efivarfs writable (mount -t efivarfs efivarfs "
                "/sys/firmware/efi/efivars); remove boot entries that nobody needs (efibootmgr -b "
                "NUMBER -B) where the firmware has no room left");
  return std::move(outcome.out);
}

Result<std::vector<FirmwareEntry>> BootManager::list(const std::stop_token& stop) const {
  INGOT_TRY_ASSIGN(const std::string output,
                   run("listing the firmware's boot entries", {"-v"}, stop));
  return parse_efibootmgr(output);
}

Result<void> BootManager::remove(const FirmwareEntry& entry, const std::stop_token& stop) const {
  INGOT_TRY(run(fmt::format("removing the boot entry Boot{}", entry.number),
                {"-q", "-b", entry.number, "-B"}, stop));
  return {};
}

Result<void> BootManager::create(const std::string& device, const BootEntry& entry,
                                 const std::stop_token& stop) const {
  // Without -w, which would write a signature into an MBR that has none.
  std::vector<std::string> arguments = {
      "-q", "-c",        "-d", device,      "-p", fmt::format("{}", entry.partition),
      "-L", entry.label, "-l", entry.loader};
  if (!entry.options.empty()) {
    arguments.insert(arguments.begin(), "-u");
    arguments.insert(arguments.end(), {"--", entry.options});
  }
  INGOT_TRY(
      run(fmt::format("making the boot entry '{}' for {} on {}", entry.label, entry.loader, device),
          arguments, stop));
  return {};
}

}  // namespace ingot::disk
