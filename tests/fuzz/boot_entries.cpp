// Fuzz target: a CSV file of an EFI system partition, and what efibootmgr prints.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "disk/boot/boot_manager.hpp"
#include "disk/boot/entry_text.hpp"
#include "disk/boot/loaders.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto entries =
      disk::parse_boot_csv(text, "EFI/debian", {"EFI/debian/shimx64.efi", "EFI/debian/g.efi"});
  if (entries.size() > disk::kMostBootEntries) std::abort();
  for (const disk::BootEntry& entry : entries)
    if (entry.label.empty() || !disk::fits_entry(entry.label) || !disk::fits_entry(entry.options) ||
        entry.label.size() > 3 * disk::kLongestLabel ||
        entry.options.size() > disk::kLongestOptions ||
        (entry.loader != "\\EFI\\debian\\shimx64.efi" && entry.loader != "\\EFI\\debian\\g.efi"))
      std::abort();
  for (const disk::FirmwareEntry& entry : disk::parse_efibootmgr(text))
    if (entry.number.size() != 4 ||
        entry.number.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      std::abort();
  if (disk::shown(text).size() > 4 * 200 + 3) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  std::vector<Input> inputs;
  for (const std::string& text :
       {std::string("shimx64.efi,debian,,This is the boot entry\r\n"),
        std::string("g.efi,a b,\\EFI\\Linux\\a.efi ,x\nshimx64.efi,debian\n"),
        std::string(
            "Boot0001* debian\tHD(1,GPT,c2)/File(\\EFI\\debian\\shimx64.efi)\nBoot0002  x\n")}) {
    inputs.emplace_back(text.begin(), text.end());
    Input wide = {0xFF, 0xFE};
    for (const char c : text) {
      wide.push_back(static_cast<std::uint8_t>(c));
      wide.push_back(0);
    }
    inputs.push_back(std::move(wide));
  }
  return inputs;
}
