/// Sysfs: block devices as the kernel shows them, by device number. Nothing is opened but text.
/// Source: Documentation/ABI/stable/sysfs-block.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ingot::disk::sysfs {

/// The folder of a block device; it does not exist if the device does not.
std::filesystem::path folder_of(dev_t device);

/// The kernel's name of a block device ("sda1"), or "".
std::string name_of(dev_t device);

/// The first line of an attribute, without its newline; "" where there is none.
std::string first_line(const std::filesystem::path& path);

/// Device number of a block device's folder.
std::optional<dev_t> number_of(const std::filesystem::path& folder);

/// Entries of a folder; nothing where there is none.
std::vector<std::filesystem::path> entries(const std::filesystem::path& folder);

/// Folders of a disk's partitions.
std::vector<std::filesystem::path> partitions(const std::filesystem::path& disk);

}  // namespace ingot::disk::sysfs
