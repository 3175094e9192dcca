// install_boot_entries(): what whoever asked is told. Real disks; needs root.
#include "agent/job/boot_entries.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/boot_disk.hpp"

namespace ingot::test {
namespace {

using agent::BootEntriesRequest;

BootEntriesRequest on(const Firmware& firmware, const std::string& uuid = "") {
  return {
      .efi_system_part_uuid = uuid, .sysfs = firmware.sysfs(), .efibootmgr = firmware.efibootmgr()};
}

std::string said(const std::string& device, const BootEntriesRequest& request) {
  const auto result = agent::install_boot_entries(device, request, {});
  if (!result) return "[" + std::string(name(result.error().code())) + "]";
  return agent::describe(*result);
}

TEST(InstallBootEntries, WhatWasDone) {
  BootDisk disk(
      "label: gpt\nstart=2048, size=32768, type=U\n"
      "start=34816, size=32768, type=L, uuid=0A0B0C0D-1111-2222-3333-444455556666\n");
  Firmware firmware;
  disk.format(34816, 32768);
  disk.put("EFI/BOOT/BOOTX64.EFI");
  disk.put("EFI/acme/bootx64.efi");
  disk.format(2048, 32768);
  EXPECT_EQ(said(disk.path(), on(firmware)), "UEFI: no loader on the EFI system partition");
  firmware.entries("Boot0007* acme\tHD(1,GPT,1)/File(\\x)\n");
  EXPECT_EQ(said(disk.path(), on(firmware, "0a0b0c0d-1111-2222-3333-444455556666")),
            "UEFI: one entry for each loader: 'ingot1' (\\EFI\\BOOT\\BOOTX64.EFI on partition 2), "
            "'acme' (\\EFI\\acme\\bootx64.efi on partition 2); removed Boot0007 acme");
  disk.put("EFI/acme/boot.csv", utf16(u"bootx64.efi,Acme OS,,\n"));
  EXPECT_EQ(said(disk.path(), on(firmware)), "UEFI: no loader on the EFI system partition");
  disk.put("EFI/acme/bootx64.efi");
  EXPECT_EQ(said(disk.path(), on(firmware)),
            "UEFI: as \\EFI\\acme\\boot.csv lists them: 'Acme OS' (\\EFI\\acme\\bootx64.efi on "
            "partition 1)");
  firmware.fail_with("-v");
  EXPECT_EQ(said(disk.path(), on(firmware)), "[write.boot-entry]");
  EXPECT_EQ(said("/dev/no-such-disk", on(firmware)), "[device.missing]");
}

TEST(InstallBootEntries, NothingToDoWithoutUefi) {
  EXPECT_EQ(said("/dev/no-such-disk", on(Firmware(false))), "BIOS: nothing to do");
}

// Of the agent protocol's list: a machine with UEFI fails to deploy where the image has no ESP.
TEST(Pitfall, N30AnImageWithoutAnEfiSystemPartition) {
  const BootDisk disk("label: gpt\nstart=2048, size=32768, type=L\n");
  EXPECT_EQ(said(disk.path(), on(Firmware())), "[device.unsuitable]");
  EXPECT_EQ(said(disk.path(), on(Firmware(false))), "BIOS: nothing to do");
}

}  // namespace
}  // namespace ingot::test
