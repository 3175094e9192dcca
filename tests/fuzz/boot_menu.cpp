// Fuzz target: boot menus. The first byte says which file the input is: a grub.cfg, a grubenv, a
// boot loader entry, a unified kernel image; or two versions are compared.
#include "disk/menu/boot_menu.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <compare>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "disk/menu/grub_menu.hpp"
#include "disk/menu/loader_entries.hpp"
#include "disk/menu/version_order.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

namespace {

constexpr const char* kConfig = "/grub/grub.cfg";
constexpr const char* kEnvironment = "/grub/grubenv";
constexpr const char* kEntry = "/loader/entries/a+1.conf";
constexpr const char* kImage = "/EFI/Linux/a.efi";

// One volume in memory, which is an ESP and has everything.
struct Disk {
  std::string folder;
  disk::BootVolumes volumes;

  Disk() {
    std::string pattern = "/dev/shm/ingot-fuzz-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    folder = pattern;
    for (const char* each : {"/grub", "/loader/entries", "/EFI/Linux"})
      std::filesystem::create_directories(folder + each);
    UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    volumes.push_back({disk::FileTree(std::move(fd), "fuzz"), 1, true, disk::VolumeRole::system,
                       "uuid", "label"});
  }
  ~Disk() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  void put(const char* path, std::string_view content) const {
    std::ofstream(folder + path, std::ios::binary) << content;
  }
  void remove(const char* path) const { std::filesystem::remove(folder + path); }
};

void check(const Result<disk::BootChoice>& choice) {
  if (!choice && choice.error().code() != Errc::image_unsupported) std::abort();
  if (!choice) return;
  if (choice->kernel.path.empty() || choice->kernel.volume != 0) std::abort();
  if (choice->initrds.size() > disk::kMostInitrds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Disk disk;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const disk::BootFirmware firmware{(data[0] & 0x80U) != 0, "x64"};
  switch ((data[0] & 0x7FU) % 5) {
    case 0:
      disk.put(kConfig, text);
      check(disk::choose_grub_entry(disk.volumes, 0, kConfig, firmware));
      break;
    case 1:
      disk.put(kConfig,
               "load_env\nset default=$saved_entry\nblscfg\nmenuentry a { linux /k $kernelopts }");
      disk.put(kEnvironment, text);
      check(disk::choose_grub_entry(disk.volumes, 0, kConfig, firmware));
      disk.remove(kEnvironment);
      break;
    case 2:
      disk.remove(kConfig);
      disk.put(kEntry, text);
      check(disk::choose_boot(disk.volumes, firmware));
      disk.put(kConfig, "blscfg\n");
      check(disk::choose_grub_entry(disk.volumes, 0, kConfig, firmware));
      disk.remove(kEntry);
      break;
    case 3:
      disk.put(kImage, text);
      check(disk::open_unified(disk.volumes, 0, kImage));
      check(disk::choose_boot(disk.volumes, firmware));
      disk.remove(kImage);
      break;
    default: {
      const auto one = text.substr(0, text.size() / 2);
      const auto other = text.substr(text.size() / 2);
      const auto order = disk::compare_versions(one, other);
      const auto back = disk::compare_versions(other, one);
      if (std::is_lt(order) != std::is_gt(back) || std::is_eq(order) != std::is_eq(back))
        std::abort();
      if (std::is_neq(disk::compare_versions(one, one))) std::abort();
    }
  }
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  std::vector<Input> inputs;
  const auto add = [&inputs](std::uint8_t kind, const std::string& text) {
    Input input = {kind};
    input.insert(input.end(), text.begin(), text.end());
    inputs.push_back(std::move(input));
  };
  const std::string config =
      "if [ -s $prefix/grubenv ]; then load_env; fi\n"
      "if [ \"${next_entry}\" ] ; then set default=\"${next_entry}\"; else set default=\"0\"; fi\n"
      "function f { set a=\"${1}\"; if [ \"$1\" = b -o ! -f /x ]; then unset a; fi }\nf b\n"
      "if loadfont x; then terminal_output gfxterm; elif true; then search --set=r --label label; "
      "fi\nmenuentry 'One' --id one {\n search --fs-uuid --set=root uuid\n"
      " linux /k root=$a \"x y\"\n initrd /i /j\n}\nsubmenu More { menuentry x { linux /l } }\n";
  add(0, config);
  add(0x85, config);
  add(1, "# GRUB Environment Block\nsaved_entry=a+1\nkernelopts=root=x ro\na=\\\\b\n####");
  add(2,
      "title T\nlinux /k\ninitrd /i $tuned_initrd\noptions a $b\nsort-key s\nversion 1\n"
      "architecture x64\n");
  add(0x87, "title T\nefi /EFI/Linux/a.efi\n");
  std::string image(512, '\0');
  image.replace(0, 2, "MZ");
  image[60] = 64;
  image.replace(64, 4, std::string("PE\0\0", 4));
  image[70] = 2;
  image.replace(88, 6, ".linux");
  image[96] = image[104] = 4;
  image.replace(128, 8, ".cmdline");
  image[136] = image[144] = 8;
  add(3, image);
  add(0x83, image);
  add(4, "6.1~rc1-2_x^y.0006.1-rc1-2_x^y.0006");
  return inputs;
}
