// Disks of all kinds, from sysfs trees like those that such hardware has, with lsblk on the same
// tree as the judge of order, type, sizes and names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "disk/inventory/list_disks.hpp"
#include "tests/support/sysfs_tree.hpp"

namespace ingot::test {
namespace {

using disk::Disk;
using testing::ElementsAre;
using testing::IsEmpty;

// What Ironic's agent keeps of lsblk's lines (list_all_block_devices of its hardware.py), and the
// nbd devices that we leave out on top.
std::vector<LsblkLine> as_ironic_filters(const std::vector<LsblkLine>& lines,
                                         const std::vector<std::string>& multipath_members) {
  std::vector<LsblkLine> kept;
  for (const LsblkLine& line : lines) {
    const std::string& name = line.at("kname");
    const std::string& type = line.at("type");
    const bool ram = name.starts_with("ram") || name.starts_with("zram");
    const bool left_out = name.starts_with("fd") || ram || name.starts_with("nbd");
    const bool fits = type == "disk" || type == "mpath" || type.find("raid") != std::string::npos;
    if (left_out || !fits || line.at("size") == "0" || line.at("size").empty()) continue;
    if (std::ranges::count(multipath_members, name) > 0) continue;
    if (std::ranges::any_of(kept, [&name](const auto& one) { return one.at("kname") == name; }))
      continue;
    kept.push_back(line);
  }
  return kept;
}

class Hardware : public testing::Test {
 protected:
  disk::InventoryOptions options() {
    disk::InventoryOptions given;
    given.sysfs = tree.sys("");
    given.dev = tree.root() + "/dev";
    given.udev = [this](dev_t device) { return tree.udev_of(device); };
    given.uses = [](dev_t) { return std::vector<disk::Use>{}; };
    return given;
  }
  std::vector<Disk> list() {
    auto disks = disk::list_disks(options());
    EXPECT_TRUE(disks) << disks.error().message();
    return disks ? *disks : std::vector<Disk>{};
  }
  std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Disk& disk : list()) all.push_back(disk.kname);
    return all;
  }
  Disk one(const std::string& kname) {
    for (const Disk& disk : list())
      if (disk.kname == kname) return disk;
    ADD_FAILURE() << "no disk " << kname;
    return {};
  }
  std::string dev(const std::string& name) { return tree.root() + "/dev/" + name; }

  // Whether lsblk, on the same tree, lists the same disks with the same values.
  void expect_as_lsblk(const std::vector<std::string>& multipath_members = {}) {
    const auto lines = as_ironic_filters(lsblk("--sysroot " + tree.root()), multipath_members);
    const auto disks = list();
    ASSERT_EQ(disks.size(), lines.size());
    for (std::size_t i = 0; i < disks.size(); ++i) {
      const Disk& disk = disks[i];
      const LsblkLine& line = lines[i];
      SCOPED_TRACE(disk.kname);
      EXPECT_EQ(disk.kname, line.at("kname"));
      EXPECT_EQ(disk.name, dev(disk.kname));
      EXPECT_EQ(std::to_string(disk.size), line.at("size"));
      EXPECT_EQ(disk.type, line.at("type"));
      EXPECT_EQ(disk.model, line.at("model"));
      EXPECT_EQ(disk.serial, line.at("serial"));
      EXPECT_EQ(disk.wwn, line.at("wwn"));
      EXPECT_EQ(disk.rotational ? "True" : "False", line.at("rota"));
      EXPECT_EQ(disk.removable ? "True" : "False", line.at("rm"));
      EXPECT_EQ(disk.read_only ? "True" : "False", line.at("ro"));
      EXPECT_EQ(std::to_string(disk.logical_sector), line.at("log-sec"));
      EXPECT_EQ(std::to_string(disk.physical_sector), line.at("phy-sec"));
      EXPECT_EQ(disk.hctl, line.at("hctl"));
      if (!disk.kname.starts_with("dm-") && !disk.kname.starts_with("md")) {
        EXPECT_EQ(disk.vendor, line.at("vendor"));
      }
      // util-linux 2.39 and later know these; the one at hand may be older.
      if (disk.transport != "virtio" && disk.transport != "mmc") {
        EXPECT_EQ(disk.transport, line.at("tran"));
      }
    }
  }

  void sata(const std::string& kname, unsigned minor, unsigned host) {
    const std::string address = std::to_string(host) + ":0:0:0";
    tree.block(kname, 8, minor, {{"queue/rotational", "1"}, {"queue/physical_block_size", "4096"}});
    tree.device(kname,
                "pci0000:00/0000:00:17.0/ata" + std::to_string(host + 1) + "/host" +
                    std::to_string(host) + "/target" + address.substr(0, 5) + "/" + address,
                {{"model", "ST4000NM0035-1V4   "}, {"vendor", "ATA     "}, {"type", "0"}});
    tree.host("scsi", host, {{"proc_name", "ahci"}});
  }

  SysfsTree tree;
};

TEST_F(Hardware, NoDisksAreNoError) {
  EXPECT_THAT(list(), IsEmpty());
}

TEST_F(Hardware, WithoutSysfsItSaysSo) {
  auto given = options();
  given.sysfs = tree.root() + "/nothing";
  const auto disks = disk::list_disks(given);
  ASSERT_FALSE(disks);
  EXPECT_EQ(disks.error().code(), Errc::device_missing);
  EXPECT_THAT(disks.error().message(), testing::HasSubstr("/nothing/block"));
}

TEST_F(Hardware, Sata) {
  sata("sda", 0, 0);
  tree.udev(8, 0, "sda",
            {{"ID_MODEL", "ST4000NM0035-1V4"},
             {"ID_MODEL_ENC", "ST4000NM0035-1V4\\x20\\x20\\x20"},
             {"ID_SERIAL_SHORT", "ZC1A2B3C"},
             {"ID_SERIAL", "ST4000NM0035-1V4_ZC1A2B3C"},
             {"ID_WWN_WITH_EXTENSION", "0x5000c500a1b2c3d4"},
             {"ID_WWN", "0x5000c500a1b2c3d4"},
             {"ID_PATH", "pci-0000:00:17.0-ata-1.0"}},
            {"disk/by-id/wwn-0x5000c500a1b2c3d4", "disk/by-path/pci-0000:00:17.0-ata-1",
             "disk/by-id/ata-ST4000NM0035-1V4_ZC1A2B3C", "disk/by-path/pci-0000:00:17.0-ata-1.0",
             "disk/by-diskseq/9"});
  expect_as_lsblk();
  const Disk disk = one("sda");
  EXPECT_EQ(disk.size, 1953525168ULL * 512);
  EXPECT_EQ(disk.model, "ST4000NM0035-1V4");
  EXPECT_EQ(disk.vendor, "ATA");
  EXPECT_EQ(disk.serial, "ZC1A2B3C");
  EXPECT_EQ(disk.udev_serial_short, "ZC1A2B3C");
  EXPECT_EQ(disk.udev_serial, "ST4000NM0035-1V4_ZC1A2B3C");
  EXPECT_EQ(disk.wwn, "0x5000c500a1b2c3d4");
  EXPECT_EQ(disk.udev_wwn, "0x5000c500a1b2c3d4");
  EXPECT_EQ(disk.wwn_with_extension, "0x5000c500a1b2c3d4");
  EXPECT_EQ(disk.wwn_vendor_extension, "");
  EXPECT_EQ(disk.hctl, "0:0:0:0");
  EXPECT_EQ(disk.transport, "sata");
  EXPECT_EQ(disk.by_path, dev("disk/by-path/pci-0000:00:17.0-ata-1.0"));
  EXPECT_THAT(disk.by_path_links, ElementsAre(dev("disk/by-path/pci-0000:00:17.0-ata-1"),
                                              dev("disk/by-path/pci-0000:00:17.0-ata-1.0")));
  EXPECT_THAT(disk.by_id, ElementsAre(dev("disk/by-id/ata-ST4000NM0035-1V4_ZC1A2B3C"),
                                      dev("disk/by-id/wwn-0x5000c500a1b2c3d4")));
  EXPECT_TRUE(disk.rotational);
  EXPECT_EQ(disk.physical_sector, 4096U);
}

TEST_F(Hardware, SasWithAVendorsExtensionOfItsWwn) {
  tree.block("sdb", 8, 16, {{"queue/rotational", "1"}});
  tree.device("sdb", "pci0000:16/0000:16:00.0/host4/port-4:0/end_device-4:0/target4:0:0/4:2:1:0",
              {{"model", "PERC H755"}, {"vendor", "DELL"}, {"type", "0"}});
  tree.host("sas", 4);
  tree.host("scsi", 4, {{"proc_name", "megaraid_sas"}});
  tree.udev(8, 16, "sdb",
            {{"ID_MODEL", "PERC_H755"},
             {"SCSI_IDENT_SERIAL", "00a1b2"},
             {"ID_SCSI_SERIAL", "00ffff"},
             {"ID_SERIAL_SHORT", "36f4ee08"},
             {"ID_SERIAL", "36f4ee080a1b2"},
             {"ID_WWN_WITH_EXTENSION", "0x6f4ee0800a1b2c3d2b4c5d6e7f809102"},
             {"ID_WWN", "0x6f4ee0800a1b2c3d"},
             {"ID_WWN_VENDOR_EXTENSION", "0x2b4c5d6e7f809102"}});
  expect_as_lsblk();
  const Disk disk = one("sdb");
  EXPECT_EQ(disk.wwn, "0x6f4ee0800a1b2c3d2b4c5d6e7f809102");
  EXPECT_EQ(disk.udev_wwn, "0x6f4ee0800a1b2c3d");
  EXPECT_EQ(disk.wwn_vendor_extension, "0x2b4c5d6e7f809102");
  EXPECT_EQ(disk.serial, "00a1b2");
  EXPECT_EQ(disk.udev_serial_short, "36f4ee08");
  EXPECT_EQ(disk.hctl, "4:2:1:0");
  EXPECT_EQ(disk.transport, "sas");
}

TEST_F(Hardware, EachTransportThatLsblkKnows) {
  unsigned host = 10;
  const auto scsi = [this, &host](const std::string& kname, const std::string& place) {
    tree.block(kname, 8, host * 16, {});
    const std::string address = std::to_string(host) + ":0:0:1";
    tree.device(kname, place + "/host" + std::to_string(host) + "/" + address, {{"type", "0"}});
    return host++;
  };
  tree.host("spi", scsi("sda", "pci"));
  tree.host("fc", scsi("sdb", "pci"), {{"symbolic_name", "QLE2692 FW:v8.08"}});
  tree.host("fc", scsi("sdc", "pci"), {{"symbolic_name", "fcoe v0.1 over eth0"}});
  tree.host("fc", scsi("sdd", "pci"));
  tree.host("iscsi", scsi("sde", "platform"));
  tree.host("scsi", scsi("sdf", "pci/usb2/2-1"), {{"proc_name", "usb-storage"}});
  tree.host("scsi", scsi("sdg", "pci"), {{"proc_name", "sata_nv"}});
  tree.host("scsi", scsi("sdh", "pci"), {{"proc_name", "pata_acpi"}});
  tree.host("scsi", scsi("sdi", "pci"), {{"proc_name", "virtio_scsi"}});
  scsi("sdj", "pci");
  tree.write("devices/pci/host19/19:0:0:1/sas_device", "");
  scsi("sdk", "pci");
  tree.write("devices/pci/host20/20:0:0:1/ieee1394_id", "0");
  expect_as_lsblk();
  std::vector<std::string> transports;
  for (const Disk& disk : list()) transports.push_back(disk.transport);
  EXPECT_THAT(transports, ElementsAre("spi", "fc", "fcoe", "", "iscsi", "usb", "sata", "ata", "",
                                      "sas", "sbp"));
}

TEST_F(Hardware, UsbStick) {
  tree.block("sdc", 8, 32, {{"removable", "1"}, {"ro", "1"}});
  tree.device("sdc", "pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0",
              {{"model", "Ultra Fit"}, {"vendor", "SanDisk"}, {"type", "0"}});
  tree.host("scsi", 6, {{"proc_name", "usb-storage"}});
  expect_as_lsblk();
  const Disk disk = one("sdc");
  EXPECT_EQ(disk.transport, "usb");
  EXPECT_TRUE(disk.removable);
  EXPECT_TRUE(disk.read_only);
}

TEST_F(Hardware, NvmeWithUdevAndWithout) {
  tree.block("nvme0n1", 259, 0, {{"wwid", "eui.0025385b21404f0a"}, {"diskseq", "7"}});
  tree.device(
      "nvme0n1", "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0",
      {{"model", "SAMSUNG MZVL21T0HCLR-00B00              "}, {"serial", "S676NF0R123456      "}});
  Disk disk = one("nvme0n1");
  EXPECT_EQ(disk.model, "SAMSUNG MZVL21T0HCLR-00B00");
  EXPECT_EQ(disk.serial, "S676NF0R123456");
  EXPECT_EQ(disk.transport, "nvme");
  EXPECT_EQ(disk.wwn, "eui.0025385b21404f0a") << "udev's rules would have read the same";
  EXPECT_EQ(disk.sequence, 7U);
  EXPECT_EQ(disk.hctl, "");

  tree.udev(259, 0, "nvme0n1",
            {{"ID_MODEL", "SAMSUNG MZVL21T0HCLR-00B00"},
             {"ID_SERIAL_SHORT", "S676NF0R123456"},
             {"ID_SERIAL", "SAMSUNG_MZVL21T0HCLR-00B00_S676NF0R123456"},
             {"ID_WWN", "eui.0025385b21404f0a"}});
  expect_as_lsblk();
  disk = one("nvme0n1");
  EXPECT_EQ(disk.udev_wwn, "eui.0025385b21404f0a");
  EXPECT_EQ(disk.wwn_with_extension, "");
}

TEST_F(Hardware, NvmeMultipathShowsItsHeadAlone) {
  tree.block("nvme0n1", 259, 1, {});
  tree.device("nvme0n1", "virtual/nvme-subsystem/nvme-subsys0",
              {{"model", "INTEL SSDPE2KX"}, {"serial", "PHLJ1"}});
  tree.block("nvme0c0n1", 259, 0, {{"hidden", "1"}});
  tree.block("nvme0c1n1", 259, 2, {{"hidden", "1"}});
  expect_as_lsblk();
  EXPECT_THAT(names(), ElementsAre("nvme0n1"));
}

TEST_F(Hardware, Virtio) {
  tree.block("vda", 254, 0, {{"queue/rotational", "1"}, {"serial", "disk-1"}});
  tree.device("vda", "pci0000:00/0000:00:02.0/virtio1", {{"vendor", "0x1af4"}});
  EXPECT_EQ(one("vda").serial, "disk-1") << "where no udev is running";
  tree.udev(254, 0, "vda", {{"ID_SERIAL", "disk-1"}});
  expect_as_lsblk();
  const Disk disk = one("vda");
  EXPECT_EQ(disk.transport, "virtio");
  EXPECT_EQ(disk.vendor, "0x1af4");
  EXPECT_EQ(disk.udev_serial, "disk-1");
  EXPECT_EQ(disk.udev_serial_short, "");
}

TEST_F(Hardware, MmcWithBootPartitionsWhichAreDisksToLsblk) {
  tree.block("mmcblk0", 179, 0, {});
  tree.device("mmcblk0", "platform/mmc_host/mmc0/mmc0:0001",
              {{"serial", "0x1234abcd"}, {"type", "MMC"}});
  tree.block("mmcblk0boot0", 179, 8, {{"size", "8192"}, {"ro", "1"}});
  tree.device("mmcblk0boot0", "platform/mmc_host/mmc0/mmc0:0001", {});
  expect_as_lsblk();
  EXPECT_THAT(names(), ElementsAre("mmcblk0", "mmcblk0boot0"));
  EXPECT_EQ(one("mmcblk0").transport, "mmc");
  EXPECT_TRUE(one("mmcblk0boot0").read_only);
}

TEST_F(Hardware, MdArraysAreDisksAndSoAreTheirMembers) {
  sata("sda", 0, 0);
  sata("sdb", 16, 1);
  tree.partition("sda", "sda1", 8, 1);
  tree.block("md127", 9, 127, {{"md/level", "raid1"}, {"size", "1953000000"}});
  tree.stack("md127", "sda/sda1");
  tree.stack("md127", "sdb");
  tree.block("md0", 9, 0, {{"md/level", ""}, {"size", "8"}});  // stopped half-way
  tree.block("md1", 9, 1, {{"md/level", "linear"}});
  tree.udev(9, 127, "md127", {{"ID_SERIAL", "not lsblk's"}});
  expect_as_lsblk();
  EXPECT_THAT(names(), ElementsAre("sda", "sdb", "md127"));
  EXPECT_EQ(one("md127").type, "raid1");
  EXPECT_EQ(one("md127").serial, "") << "lsblk shows none of what stands on others";
  EXPECT_EQ(one("md127").udev_serial, "not lsblk's");
}

TEST_F(Hardware, MultipathReplacesItsPaths) {
  for (unsigned host : {0U, 1U}) {
    const std::string kname = host == 0 ? "sda" : "sdb";
    tree.block(kname, 8, host * 16, {});
    tree.device(kname, "pci/host" + std::to_string(host) + "/" + std::to_string(host) + ":0:0:0",
                {{"model", "MSA 2060"}, {"type", "0"}});
    tree.host("fc", host, {{"symbolic_name", "QLE"}});
  }
  tree.block("sdc", 8, 32, {});
  tree.block("dm-0", 253, 0, {{"dm/uuid", "mpath-3600c0ff000abcdef"}, {"dm/name", "mpatha"}});
  tree.block("dm-1", 253, 1,
             {{"dm/uuid", "part1-mpath-3600c0ff000abcdef"}, {"dm/name", "mpatha-part1"}});
  tree.stack("dm-0", "sda");
  tree.stack("dm-0", "sdb");
  tree.stack("dm-1", "dm-0");
  tree.udev(253, 0, "mapper/mpatha",
            {{"DM_SERIAL", "3600c0ff000abcdef"},
             {"DM_SERIAL_SHORT", "600c0ff000abcdef"},
             {"DM_WWN", "0x600c0ff000abcdef"},
             {"DM_WWN_WITH_EXTENSION", "0x600c0ff000abcdef01"},
             {"DM_WWN_VENDOR_EXTENSION", "0x01"}});
  expect_as_lsblk({"sda", "sdb"});
  EXPECT_THAT(names(), ElementsAre("sdc", "dm-0"));
  const Disk disk = one("dm-0");
  EXPECT_EQ(disk.type, "mpath");
  EXPECT_EQ(disk.wwn, "") << "lsblk's column knows ID_ alone";
  EXPECT_EQ(disk.udev_wwn, "0x600c0ff000abcdef");
  EXPECT_EQ(disk.wwn_with_extension, "0x600c0ff000abcdef01");
  EXPECT_EQ(disk.wwn_vendor_extension, "0x01");
  EXPECT_EQ(disk.udev_serial_short, "600c0ff000abcdef");
  EXPECT_EQ(disk.udev_serial, "3600c0ff000abcdef");
}

TEST_F(Hardware, WhatIsNoDiskIsNotListed) {
  sata("sda", 0, 0);
  tree.block("dm-0", 253, 0, {{"dm/uuid", "LVM-abc"}, {"dm/name", "vg-root"}});
  tree.stack("dm-0", "sda");
  tree.block("dm-1", 253, 1, {{"dm/uuid", "CRYPT-LUKS2-abc"}, {"dm/name", "secret"}});
  tree.stack("dm-1", "dm-0");
  tree.block("dm-2", 253, 2, {{"dm/name", "plain"}});
  tree.stack("dm-2", "sda");
  tree.block("sr0", 11, 0, {});
  tree.device("sr0", "pci/host9/9:0:0:0", {{"type", "5"}});
  tree.block("fd0", 2, 0, {});
  tree.block("ram0", 1, 0, {});
  tree.block("zram0", 252, 0, {});
  tree.block("nbd0", 43, 0, {});
  tree.block("loop0", 7, 0, {});
  tree.block("sdb", 8, 16, {{"size", "0"}});
  tree.device("sdb", "pci/usb1/host8/8:0:0:0", {{"type", "0"}});
  expect_as_lsblk();
  EXPECT_THAT(names(), ElementsAre("sda"));
}

TEST_F(Hardware, DmraidIsARaidToIronic) {
  sata("sda", 0, 0);
  tree.block("dm-0", 253, 0, {{"dm/uuid", "DMRAID-isw_abc"}, {"dm/name", "isw_abc"}});
  tree.stack("dm-0", "sda");
  expect_as_lsblk();
  EXPECT_THAT(names(), ElementsAre("sda", "dm-0"));
}

TEST_F(Hardware, SectorsOf4096BytesDoNotChangeTheUnitOfSysfs) {
  tree.block("sda", 8, 0,
             {{"queue/logical_block_size", "4096"}, {"queue/physical_block_size", "4096"}});
  expect_as_lsblk();
  EXPECT_EQ(one("sda").size, 1953525168ULL * 512);
  EXPECT_EQ(one("sda").logical_sector, 4096U);
}

TEST_F(Hardware, TheOrderIsLsblks) {
  // sda to sdp have the major number 8; then come 65, 259 with minor numbers beyond 255, and so on.
  tree.block("sdq", 65, 0, {});
  tree.block("sdb", 8, 16, {});
  tree.block("sda", 8, 0, {});
  tree.block("nvme0n1", 259, 0, {});
  tree.block("nvme10n1", 259, 300, {});
  tree.block("vda", 254, 0, {});
  tree.block("vdr", 254, 272, {});
  tree.block("sdiw", 8, 256, {});
  expect_as_lsblk();
  EXPECT_THAT(names(),
              ElementsAre("sda", "sdb", "sdq", "vda", "nvme0n1", "sdiw", "vdr", "nvme10n1"));
}

TEST_F(Hardware, ASlashInAName) {
  tree.block("cciss!c0d0", 104, 0, {});
  expect_as_lsblk();
  EXPECT_EQ(one("cciss/c0d0").name, dev("cciss/c0d0"));
}

TEST_F(Hardware, HostileTextsAndNumbers) {
  tree.block("sda", 8, 0,
             {{"size", "99999999999999999999999"}, {"queue/logical_block_size", "513"}});
  EXPECT_THAT(list(), IsEmpty()) << "a size that is no number is none";
  tree.block("sdb", 8, 16, {{"size", "18446744073709551615"}, {"queue/logical_block_size", "0"}});
  EXPECT_THAT(list(), IsEmpty()) << "a size beyond 2^64 bytes is none";
  tree.block("sdc", 8, 32,
             {{"size", "8"},
              {"diskseq", "-1"},
              {"queue/logical_block_size", "513"},
              {"queue/physical_block_size", "1099511627776"}});
  tree.device("sdc", "pci/host1/1:0:0:0",
              {{"model",
                "\x1b[31mred\xff\xc3\x28 \xc2\x9b"
                "0m\t" +
                    std::string(100'000, 'x')},
               {"serial", std::string("a\0b", 3)},
               {"type", "0"}});
  const Disk disk = one("sdc");
  EXPECT_EQ(disk.logical_sector, 512U);
  EXPECT_EQ(disk.physical_sector, 512U);
  EXPECT_EQ(disk.sequence, 0U);
  EXPECT_TRUE(disk.model.starts_with("[31mred( 0mxxxx")) << disk.model.substr(0, 40);
  EXPECT_LE(disk.model.size(), 4096U);
  EXPECT_EQ(disk.serial, "ab");
  tree.udev(8, 32, "sdc",
            {{"ID_MODEL_ENC", "\\x1b[2J\\xe9A\\x20\\x20B\\xzz"}, {"ID_SERIAL", "\n1 \n 2"}});
  EXPECT_EQ(one("sdc").model, "[2JA B\\xzz");
  EXPECT_EQ(one("sdc").serial, "1 2");
}

TEST_F(Hardware, LinksThatLeadElsewhereAreNotTheDisks) {
  sata("sda", 0, 0);
  const std::vector<std::string> both = {"disk/by-id/wwn-1", "disk/by-path/a", "disk/by-path/b"};
  tree.udev(8, 0, "sda", {{"ID_PATH", "a"}}, both);
  tree.dev_link("disk/by-id/wwn-1", "sdb");
  tree.dev_link("disk/by-path/a", "sda");
  const Disk disk = one("sda");
  EXPECT_THAT(disk.by_id, IsEmpty()) << "sdb has it: another path to the same disk";
  EXPECT_EQ(disk.by_path, dev("disk/by-path/a"));
}

TEST_F(Hardware, LinksAreReadFromDevWhereUdevsDatabaseIsEmpty) {
  sata("sda", 0, 0);
  tree.block("cciss!c0d0", 104, 0, {});
  tree.dev_link("disk/by-path/z", "sda");
  tree.dev_link("disk/by-path/y", "sda");
  tree.dev_link("disk/by-path/x", "sdb");
  tree.dev_link("disk/by-id/w", "sda");
  tree.dev_link("disk/by-id/v", "cciss/c0d0");
  const Disk disk = one("sda");
  EXPECT_EQ(disk.by_path, dev("disk/by-path/y"));
  EXPECT_THAT(disk.by_path_links, ElementsAre(dev("disk/by-path/y"), dev("disk/by-path/z")));
  EXPECT_THAT(disk.by_id, ElementsAre(dev("disk/by-id/w")));
  EXPECT_THAT(one("cciss/c0d0").by_id, ElementsAre(dev("disk/by-id/v")));
}

TEST_F(Hardware, WwnsOfScsiDisksWithoutUdev) {
  sata("sda", 0, 0);
  tree.write("block/sda/device/wwid", "naa.5000c500a1b2c3d4\n");
  sata("sdb", 16, 1);
  tree.write("block/sdb/device/wwid", "naa.6f4ee0800a1b2c3d2b4c5d6e7f809102\n");
  sata("sdc", 32, 2);
  tree.write("block/sdc/device/wwid", "t10.ATA     ST4000NM0035-1V4\n");
  EXPECT_EQ(one("sda").wwn, "0x5000c500a1b2c3d4");
  EXPECT_EQ(one("sda").udev_wwn, "0x5000c500a1b2c3d4");
  EXPECT_EQ(one("sda").wwn_vendor_extension, "");
  EXPECT_EQ(one("sdb").wwn, "0x6f4ee0800a1b2c3d2b4c5d6e7f809102");
  EXPECT_EQ(one("sdb").wwn_with_extension, "0x6f4ee0800a1b2c3d2b4c5d6e7f809102");
  EXPECT_EQ(one("sdb").udev_wwn, "0x6f4ee0800a1b2c3d");
  EXPECT_EQ(one("sdb").wwn_vendor_extension, "0x2b4c5d6e7f809102");
  EXPECT_EQ(one("sdc").wwn, "");
}

TEST_F(Hardware, DevicesByNumber) {
  sata("sda", 0, 0);
  tree.partition("sda", "sda1", 8, 1);
  tree.block("loop3", 7, 3, {});
  tree.block("sdb", 8, 16, {{"size", "0"}});
  tree.block("nvme0c0n1", 259, 0, {{"hidden", "1"}});
  const auto loop = disk::describe_disk(makedev(7, 3), options());
  ASSERT_TRUE(loop) << loop.error().message();
  EXPECT_EQ(loop->type, "loop");
  EXPECT_EQ(loop->name, dev("loop3"));
  const auto code = [this](unsigned major, unsigned minor) {
    const auto found = disk::describe_disk(makedev(major, minor), options());
    return found ? Errc::internal_bug : found.error().code();
  };
  EXPECT_EQ(code(8, 1), Errc::device_unsuitable);
  EXPECT_EQ(code(8, 16), Errc::device_unsuitable);
  EXPECT_EQ(code(8, 99), Errc::device_missing);
  EXPECT_EQ(code(259, 0), Errc::device_missing);
  EXPECT_THAT(disk::describe_disk(makedev(8, 1), options()).error().message(),
              testing::HasSubstr("partition of " + dev("sda")));
}

TEST_F(Hardware, UsersAreTold) {
  sata("sda", 0, 0);
  auto given = options();
  given.uses = [](dev_t device) {
    EXPECT_EQ(device, makedev(8, 0));
    disk::Use root, swap;
    root.text = "mounted on /\x1b (sda1)";
    root.running_system = true;
    swap.text = "swap (sda2)";
    return std::vector<disk::Use>{root, swap};
  };
  const auto disks = disk::list_disks(given);
  ASSERT_TRUE(disks);
  EXPECT_THAT(disks->front().users, ElementsAre("mounted on / (sda1)", "swap (sda2)"));
  EXPECT_TRUE(disks->front().running_system);
  EXPECT_FALSE(one("sda").running_system);
}

}  // namespace
}  // namespace ingot::test
