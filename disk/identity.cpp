#include "disk/identity.hpp"

#include <fmt/format.h>
#include <libudev.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "disk/sysfs.hpp"

// Linux 5.15 and later; older headers do not have it.
#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, __u64)
#endif

namespace ingot::disk {
namespace {

tl::unexpected<Error> changed(const std::string& path, const std::string& what) {
  return fail(Errc::device_changed,
              fmt::format("{} is not the disk any more that was chosen: {}", path, what),
              "devices are being added or removed; look again (lsblk) and start over");
}

// The same text, however its source writes it: udev has '_' for blanks, sysfs "naa." for "0x".
std::string comparable(std::string text) {
  if (text.starts_with("naa.")) text.replace(0, 4, "0x");
  std::erase_if(text, [](char c) { return c == ' ' || c == '_' || c == '\t'; });
  return text;
}

// What is known now about a device, by its number: udev's properties and sysfs attributes.
std::vector<std::string> texts_of(dev_t number, const std::vector<const char*>& properties,
                                  const std::vector<const char*>& attributes) {
  std::vector<std::string> texts;
  const std::unique_ptr<udev, udev* (*)(udev*)> context(udev_new(), udev_unref);
  const std::unique_ptr<udev_device, udev_device* (*)(udev_device*)> device(
      context ? udev_device_new_from_devnum(context.get(), 'b', number) : nullptr,
      udev_device_unref);
  if (device)
    for (const char* property : properties)
      if (const char* text = udev_device_get_property_value(device.get(), property))
        texts.push_back(comparable(text));
  for (const char* attribute : attributes)
    texts.push_back(comparable(sysfs::first_line(sysfs::folder_of(number) / attribute)));
  std::erase(texts, "");
  return texts;
}

// A text that nothing tells any more (udev may not have got there) is not held against the device:
// its sequence number is the stricter test.
bool contradicted(const std::string& expected, const std::vector<std::string>& texts) {
  return !expected.empty() && !texts.empty() &&
         std::ranges::find(texts, comparable(expected)) == texts.end();
}

}  // namespace

DiskIdentity identity_of(dev_t number) {
  constexpr std::uint64_t kUnit = 512;  // of sysfs, whatever the device's own sector is
  const auto attribute = [folder = sysfs::folder_of(number)](const char* name) {
    return std::strtoull(sysfs::first_line(folder / name).c_str(), nullptr, 10);
  };
  DiskIdentity identity;
  identity.number = number;
  identity.sequence = attribute("diskseq");
  identity.size = attribute("size") * kUnit;
  return identity;
}

Result<void> check_identity(int fd, const DiskIdentity& expected, const std::string& path) {
  struct stat now {};
  if (::fstat(fd, &now) != 0 || !S_ISBLK(now.st_mode)) return changed(path, "it is no disk");
  if (now.st_rdev != expected.number)
    return changed(path,
                   fmt::format("it is device {}:{} and was {}:{}", major(now.st_rdev),
                               minor(now.st_rdev), major(expected.number), minor(expected.number)));
  std::uint64_t sequence = 0;
  if (expected.sequence != 0 && ::ioctl(fd, BLKGETDISKSEQ, &sequence) == 0 &&
      sequence != expected.sequence)
    return changed(path, fmt::format("another one has taken its place (sequence number {}, was {})",
                                     sequence, expected.sequence));
  std::uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0 || (expected.size != 0 && size != expected.size))
    return changed(path, fmt::format("it has {} bytes and had {}", size, expected.size));
  const auto serials = texts_of(now.st_rdev,
                                {"ID_SERIAL_SHORT", "ID_SERIAL", "ID_SCSI_SERIAL",
                                 "SCSI_IDENT_SERIAL", "DM_SERIAL_SHORT", "DM_SERIAL"},
                                {"serial", "device/serial"});
  if (contradicted(expected.serial, serials))
    return changed(
        path, fmt::format("its serial number is {} and was {}", serials.front(), expected.serial));
  const auto wwns =
      texts_of(now.st_rdev, {"ID_WWN", "ID_WWN_WITH_EXTENSION", "DM_WWN", "DM_WWN_WITH_EXTENSION"},
               {"wwid", "device/wwid"});
  if (contradicted(expected.wwn, wwns))
    return changed(path, fmt::format("its WWN is {} and was {}", wwns.front(), expected.wwn));
  return {};
}

}  // namespace ingot::disk
