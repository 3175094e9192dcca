#include "disk/menu/boot_menu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "disk/boot/entry_text.hpp"
#include "disk/menu/grub_menu.hpp"
#include "disk/menu/loader_entries.hpp"

namespace ingot::disk {
namespace {

constexpr std::array kGrubFolders = {"/boot/grub", "/boot/grub2", "/grub", "/grub2"};

struct Place {
  std::size_t volume = 0;
  std::string path;
};

bool has_systemd_boot(const BootVolumes& volumes, const BootFirmware& firmware) {
  const std::string path = fmt::format("/EFI/systemd/systemd-boot{}.efi", firmware.architecture);
  return std::ranges::any_of(volumes, [&path](const BootVolume& volume) {
    return volume.role == VolumeRole::system && volume.tree.kind(path) == FileTree::Kind::file;
  });
}

// EFI/<vendor>/grub.cfg: what a GRUB with its prefix there reads.
Result<std::vector<Place>> vendor_configs(const BootVolumes& volumes) {
  std::vector<Place> found;
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    if (volumes[i].role != VolumeRole::system) continue;
    INGOT_TRY_ASSIGN(const auto vendors, volumes[i].tree.list("/EFI", kMostMenuFiles));
    for (const std::string& vendor : vendors) {
      std::string path = fmt::format("/EFI/{}/grub.cfg", vendor);
      if (volumes[i].tree.kind(path) == FileTree::Kind::file) found.push_back({i, std::move(path)});
    }
  }
  return found;
}

std::vector<Place> main_configs(const BootVolumes& volumes) {
  std::vector<Place> found;
  for (std::size_t i = 0; i < volumes.size(); ++i)
    for (const char* folder : kGrubFolders) {
      std::string path = fmt::format("{}/grub.cfg", folder);
      if (volumes[i].tree.kind(path) == FileTree::Kind::file) found.push_back({i, std::move(path)});
    }
  return found;
}

Result<std::optional<BootChoice>> choose_grub(const BootVolumes& volumes,
                                              const BootFirmware& firmware) {
  std::vector<Place> places;
  if (firmware.uefi) {
    INGOT_TRY_ASSIGN(places, vendor_configs(volumes));
  }
  if (places.empty()) places = main_configs(volumes);
  std::optional<BootChoice> choice;
  for (const Place& place : places) {
    INGOT_TRY_ASSIGN(BootChoice each,
                     choose_grub_entry(volumes, place.volume, place.path, firmware));
    if (choice && !choice->boots_same(each))
      return fail(Errc::image_unsupported,
                  fmt::format("GRUB has several menus with different defaults, {} and {}",
                              shown(choice->source), shown(each.source)));
    if (!choice) choice = std::move(each);
  }
  return choice;
}

}  // namespace

Result<BootChoice> choose_boot(const BootVolumes& volumes, const BootFirmware& firmware) {
  if (!firmware.uefi || !has_systemd_boot(volumes, firmware)) {
    INGOT_TRY_ASSIGN(auto grub, choose_grub(volumes, firmware));
    if (grub) return *std::move(grub);
  }
  INGOT_TRY_ASSIGN(auto entry, choose_loader_entry(volumes, firmware));
  if (entry) return *std::move(entry);
  if (firmware.uefi)
    for (std::size_t i = 0; i < volumes.size(); ++i) {
      const std::string path = fmt::format("/EFI/BOOT/BOOT{}.EFI", firmware.architecture);
      if (volumes[i].role != VolumeRole::system ||
          volumes[i].tree.kind(path) != FileTree::Kind::file)
        continue;
      if (auto inside = open_unified(volumes, i, path)) return inside;
    }
  return fail(Errc::image_unsupported,
              "no boot menu: there is neither a grub.cfg nor a boot loader entry on the disk");
}

}  // namespace ingot::disk
