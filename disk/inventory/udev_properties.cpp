#include "disk/inventory/udev_properties.hpp"

#include <libudev.h>

#include <memory>

namespace ingot::disk {
namespace {

// Far more than any rule sets; a database beyond that is not believed to its end.
constexpr std::size_t kMostEntries = 1024;
constexpr std::size_t kLongestValue = 4096;

struct Unref {
  void operator()(udev* context) const { udev_unref(context); }
  void operator()(udev_device* device) const { udev_device_unref(device); }
};

}  // namespace

const std::string& UdevProperties::value(std::string_view key) const {
  static const std::string none;
  const auto found = values.find(key);
  return found == values.end() ? none : found->second;
}

const std::string& UdevProperties::id_or_dm(std::string_view key) const {
  const std::string& id = value("ID_" + std::string(key));
  return id.empty() ? value("DM_" + std::string(key)) : id;
}

UdevProperties udev_properties(dev_t device) {
  UdevProperties found;
  const std::unique_ptr<udev, Unref> context(udev_new());
  if (!context) return found;
  const std::unique_ptr<udev_device, Unref> entry(
      udev_device_new_from_devnum(context.get(), 'b', device));
  if (!entry) return found;
  found.known = udev_device_get_is_initialized(entry.get()) > 0;
  udev_list_entry* item = nullptr;
  udev_list_entry_foreach(item, udev_device_get_properties_list_entry(entry.get())) {
    const char* name = udev_list_entry_get_name(item);
    const char* value = udev_list_entry_get_value(item);
    if (name == nullptr || value == nullptr || found.values.size() >= kMostEntries) continue;
    found.values.emplace(name, std::string_view(value).substr(0, kLongestValue));
  }
  udev_list_entry_foreach(item, udev_device_get_devlinks_list_entry(entry.get())) {
    const char* name = udev_list_entry_get_name(item);
    if (name != nullptr && found.links.size() < kMostEntries) found.links.emplace_back(name);
  }
  return found;
}

}  // namespace ingot::disk
