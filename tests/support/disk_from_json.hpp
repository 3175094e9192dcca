/// Inventories of tests, written as JSON: tests/support/root_device_hints.json.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "disk/inventory/disk.hpp"

namespace ingot::test {

/// A disk from an object with Disk's own names; what is missing or null is "".
inline disk::Disk disk_from_json(const boost::json::object& object) {
  const auto text = [&object](const char* key) {
    const auto* const value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
  };
  disk::Disk disk;
  disk.name = text("name");
  disk.size = object.at("size").to_number<std::uint64_t>();
  disk.rotational = object.at("rotational").as_bool();
  disk.model = text("model");
  disk.vendor = text("vendor");
  disk.serial = text("serial");
  disk.udev_serial_short = text("udev_serial_short");
  disk.udev_serial = text("udev_serial");
  disk.wwn = text("wwn");
  disk.udev_wwn = text("udev_wwn");
  disk.wwn_with_extension = text("wwn_with_extension");
  disk.wwn_vendor_extension = text("wwn_vendor_extension");
  disk.hctl = text("hctl");
  disk.by_path = text("by_path");
  disk.transport = text("tran");
  return disk;
}

inline std::vector<disk::Disk> disks_from_json(const boost::json::array& array) {
  std::vector<disk::Disk> disks;
  for (const auto& one : array) disks.push_back(disk_from_json(one.as_object()));
  return disks;
}

}  // namespace ingot::test
