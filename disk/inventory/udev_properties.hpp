/// UdevProperties: what udev's database knows of a block device.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ingot::disk {

/// Of one device. Texts are as udev has them: to be cleaned before they are shown.
struct UdevProperties {
  bool known = false;  ///< false: udev has not seen the device, or is not there at all
  std::map<std::string, std::string, std::less<>> values;
  std::vector<std::string> links;  ///< "/dev/disk/by-id/…": those that it asks for

  /// A property, or "".
  [[nodiscard]] const std::string& value(std::string_view key) const;
  /// ID_<key>, or DM_<key> (what multipath's rules set), or "".
  [[nodiscard]] const std::string& id_or_dm(std::string_view key) const;
};

/// Where properties come from, by device number.
using UdevSource = std::function<UdevProperties(dev_t)>;

/// From udev's database through libudev; empty for a device that is not there. Does not wait for
/// udev to settle.
UdevProperties udev_properties(dev_t device);

}  // namespace ingot::disk
