/// A machine's /sys, /proc and /dev of a test's own making.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/command.hpp"

namespace ingot::test {

class HardwareTree {
 public:
  HardwareTree() {
    for (const char* folder : {"sys", "proc", "dev"})
      std::filesystem::create_directories(path(folder));
  }
  [[nodiscard]] std::string path(const std::string& name) const { return dir_.path(name); }

  void write(const std::string& name, const std::string& content) {
    const std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }
  void link(const std::string& name, const std::string& target) {
    const std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::filesystem::create_symlink(target, file);
  }

  /// A NIC on a device of its own.
  void nic(const std::string& name, const std::string& mac, const std::string& device,
           const std::string& driver) {
    const std::string folder = "sys/class/net/" + name;
    const std::string hardware = "sys/devices/pci0000:00/" + device;
    write(folder + "/address", mac + "\n");
    write(folder + "/ifindex", std::to_string(++last_index_) + "\n");
    write(hardware + "/vendor", "0x8086\n");
    write(hardware + "/device", "0x1572\n");
    link(folder + "/device", "../../../devices/pci0000:00/" + device);
    std::filesystem::create_directories(path("sys/bus/pci/drivers/" + driver));
    link(hardware + "/driver", "../../../bus/pci/drivers/" + driver);
  }
  /// An interface without a device below it.
  void virtual_nic(const std::string& name, const std::string& mac) {
    write("sys/class/net/" + name + "/address", mac + "\n");
    write("sys/class/net/" + name + "/ifindex", std::to_string(++last_index_) + "\n");
  }

 private:
  TempDir dir_;
  int last_index_ = 1;
};

}  // namespace ingot::test
