// Media in files and on loop devices, in a sysfs tree of the test's own. ISO 9660 and FAT are found
// here and mounted in tests/vm, since the kernel that tests run on need not have them; what is done
// with a mounted medium is tested on ext4.
#include "agent/ironic/virtual_media.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "disk/core/unique_fd.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using test::LoopDevice;
using test::run;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kUsb = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0";
constexpr const char* kSata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
constexpr std::uint64_t kMiB = 1ULL << 20;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

unsigned mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777U;
}

class VirtualMediaTest : public testing::Test {
 protected:
  VirtualMediaTest() {
    places_.sysfs = dir_.path("sys");
    places_.dev = dir_.path("dev");
    places_.patience = milliseconds(0);
    fs::create_directories(places_.sysfs + "/class/block");
    fs::create_directories(places_.dev);
  }

  // A block device whose content is `image`: a file or a loop device.
  void device(const std::string& kname, const std::string& place, const std::string& type,
              const std::string& model, const std::string& image, std::uint64_t size = 64 * kMiB) {
    const std::string behind = places_.sysfs + "/devices/" + place;
    const std::string block = behind + "/block/" + kname;
    write(behind + "/type", type + "\n");
    write(behind + "/model", model + "\n");
    write(block + "/size", std::to_string(size / 512) + "\n");
    fs::create_directory_symlink("../../../" + fs::path(place).filename().string(),
                                 block + "/device");
    fs::create_directory_symlink("../../devices/" + place + "/block/" + kname,
                                 places_.sysfs + "/class/block/" + kname);
    fs::create_symlink(image, places_.dev + "/" + kname);
  }
  void optical(const std::string& kname, const std::string& image,
               const std::string& model = "DVD-ROM") {
    device(kname, std::string(kSata) + kname, "5", model, image);
  }
  void usb(const std::string& kname, const std::string& image, std::uint64_t size = 64 * kMiB,
           const std::string& model = "Flash") {
    device(kname, std::string(kUsb) + kname, "0", model, image, size);
  }

  std::string iso(const std::string& label, const std::string& options = "") {
    std::string image = unused("iso");
    run("genisoimage -quiet -r -J " + options + " -V " + label + " -o " + image + " " + tree());
    return image;
  }
  std::string fat(const std::string& label) {
    std::string image = unused("fat");
    run("mkfs.vfat -C -n " + label + " " + image + " 1440");
    return image;
  }
  // A file system of `tree()` for this machine's kernel; needs root to be mounted.
  LoopDevice& ext4(const std::string& label) {
    loops_.push_back(std::make_unique<LoopDevice>(16 * kMiB));
    run("mkfs.ext4 -q -O ^has_journal -L " + label + " -d " + tree() + " " + loops_.back()->path());
    if (places_.file_systems.back() != "ext4") places_.file_systems.emplace_back("ext4");
    return *loops_.back();
  }

  [[nodiscard]] std::string tree() const { return dir_.path("tree"); }
  void file(const std::string& path, const std::string& text) { write(tree() + path, text); }
  void no_tree() { fs::remove_all(tree()); }

  [[nodiscard]] std::vector<std::string> found() const {
    std::vector<std::string> names;
    for (const Medium& medium : find_virtual_media(places_))
      names.push_back(medium.kname + " " + medium.file_system + " " + medium.label);
    return names;
  }

  // Afterwards nobody has a medium mounted: the kernel lets it be opened for one alone.
  VirtualMedia read() {
    VirtualMedia media = read_virtual_media(places_, run_dir_, {});
    for (const auto& loop : loops_)
      EXPECT_TRUE(UniqueFd(::open(loop->path().c_str(), O_RDONLY | O_CLOEXEC | O_EXCL)));
    return media;
  }

  [[nodiscard]] static std::vector<std::string> places_of(const VirtualMedia& media) {
    std::vector<std::string> names;
    for (const MediumFile& each : media.files) names.push_back(each.place);
    return names;
  }

  std::string unused(const std::string& ending) {
    return dir_.path("image" + std::to_string(++images_) + "." + ending);
  }

  test::TempDir dir_;
  VirtualMediaPlaces places_;
  std::string run_dir_ = dir_.path("run");
  std::vector<std::unique_ptr<LoopDevice>> loops_;
  int images_ = 0;
};

TEST_F(VirtualMediaTest, NothingIsNoProblem) {
  const VirtualMedia media = read();
  EXPECT_THAT(media.parameters, IsEmpty());
  EXPECT_THAT(media.files, IsEmpty());
  EXPECT_THAT(media.problems, IsEmpty());
  EXPECT_FALSE(fs::exists(run_dir_));
  places_.sysfs = dir_.path("nowhere");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(VirtualMediaTest, LabelsInAnyCaseAndTheirOrder) {
  file("/x", "x");
  optical("sr0", iso("VMEDIA_BOOT_ISO"));
  optical("sr1", iso("config-2"));
  optical("sr2", iso("Debian"));
  usb("sda", fat("IR-VFD-DEV"));
  EXPECT_THAT(found(), ElementsAre("sda vfat IR-VFD-DEV", "sr1 iso9660 config-2",
                                   "sr0 iso9660 VMEDIA_BOOT_ISO"));
}

TEST_F(VirtualMediaTest, ModelWhereThereIsNoLabel) {
  file("/x", "x");
  optical("sr0", iso("ANYTHING"), "Virtual Media CD");
  optical("sr1", iso("ANYTHING"), "DVD-RAM");
  usb("sda", fat("config-2"), 64 * kMiB, "VIRTUAL MEDIA");
  EXPECT_THAT(found(), ElementsAre("sda vfat config-2", "sr0 iso9660 ANYTHING"));
}

TEST_F(VirtualMediaTest, OnlyOpticalDrivesAndSmallUsbDisks) {
  const std::string drive = fat("config-2");
  constexpr std::uint64_t kFour = 4ULL << 30;
  usb("sda", drive, kFour);
  usb("sdb", drive, kFour - 512);
  usb("sdc", drive, 0);
  device("sdd", std::string(kSata) + "d", "0", "DISK", drive);
  device("sde", std::string(kUsb) + "e", "7", "Virtual Media", drive);
  EXPECT_THAT(found(), ElementsAre("sdb vfat config-2"));
  // What a tenant's partition says of itself does not count, wherever it is.
  write(places_.sysfs + "/class/block/sdb/partition", "1\n");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(VirtualMediaTest, ATenantsConfigDriveDoesNotHideTheMedium) {
  file("/x", "x");
  const std::string drive = iso("config-2");
  device("sda", std::string(kSata) + "a", "0", "DISK", drive);
  optical("sr0", drive);
  EXPECT_THAT(found(), ElementsAre("sr0 iso9660 config-2"));
}

TEST_F(VirtualMediaTest, MediaWithSeveralFileSystems) {
  file("/x", "x");
  optical("sr0", iso("config-2", "-udf"));
  // An image that also boots from a disk: FAT's boot sector in front of ISO 9660.
  const std::string both = iso("VMEDIA_BOOT_ISO");
  run("dd if=" + fat("EFI") + " of=" + both + " bs=512 count=1 conv=notrunc status=none");
  optical("sr1", both);
  const auto names = found();
  ASSERT_EQ(names.size(), 2U);
  EXPECT_THAT(names[0], testing::AnyOf("sr0 iso9660 config-2", "sr0 udf config-2"));
  EXPECT_EQ(names[1], "sr1 iso9660 VMEDIA_BOOT_ISO");
}

TEST_F(VirtualMediaTest, HostileDevices) {
  optical("sr0", dir_.path("is not there"));
  write(dir_.path("empty"), "");
  optical("sr1", dir_.path("empty"));
  write(dir_.path("noise"), std::string(100'000, '\xff'));
  optical("sr2", dir_.path("noise"), std::string(10'000, 'v') + "virtual media");
  ASSERT_EQ(::mkfifo(dir_.path("fifo").c_str(), 0600), 0);
  optical("sr3", dir_.path("fifo"));
  optical("sr4", dir_.path(""));
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(VirtualMediaTest, OtherFileSystemsAreNotMounted) {
  file("/parameters.txt", "ipa-api-url=http://192.0.2.1");
  optical("sr0", ext4("ir-vfd-dev").path());
  places_.file_systems = {"iso9660", "vfat", "udf"};
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(VirtualMediaTest, ParametersAndConfiguration) {
  file("/parameters.txt", "ipa-api-url=http://192.0.2.1:6385\n");
  file("/etc/ironic-python-agent/ironic.crt", "certificate");
  file("/etc/ironic-python-agent.d/ironic-tls.conf",
       "[DEFAULT]\ncafile = /etc/ironic-python-agent/ironic.crt\n");
  file("/etc/ironic-python-agent.d/sub/not-plain.conf", "x");
  file("/etc/other/file.conf", "x");
  optical("sr0", ext4("Config-2").path());
  const VirtualMedia media = read();
  EXPECT_THAT(media.problems, IsEmpty());
  EXPECT_EQ(media.parameters, "ipa-api-url=http://192.0.2.1:6385\n");
  EXPECT_THAT(places_of(media), ElementsAre("/etc/ironic-python-agent/ironic.crt",
                                            "/etc/ironic-python-agent.d/ironic-tls.conf"));
  EXPECT_EQ(text_of(media.files[0].copy), "certificate");
  EXPECT_EQ(mode_of(media.files[0].copy), 0600U);
  for (fs::path folder = fs::path(media.files[0].copy).parent_path(); folder != dir_.path("run");
       folder = folder.parent_path())
    EXPECT_EQ(mode_of(folder), 0700U) << folder;
  EXPECT_EQ(mode_of(run_dir_), 0700U);

  AgentOptions options;
  for (const std::string& path : config_files({}, media))
    EXPECT_THAT(apply_config_file(options, path).value(), IsEmpty());
  EXPECT_EQ(options.ca_file, "/etc/ironic-python-agent/ironic.crt");
  use_files_of_medium(options, media);
  EXPECT_EQ(text_of(options.ca_file), "certificate");
  options.client_cert_file = "/etc/ssl/client.crt";
  use_files_of_medium(options, media);
  EXPECT_EQ(options.client_cert_file, "/etc/ssl/client.crt");
}

TEST_F(VirtualMediaTest, AnEarlierStartsCopiesAreReplaced) {
  file("/etc/ironic-python-agent/ironic.crt", "old");
  optical("sr0", ext4("config-2").path());
  ASSERT_EQ(read().files.size(), 1U);
  write(run_dir_ + "/agent.json", "kept");
  fs::remove(places_.dev + "/sr0");
  fs::remove(places_.sysfs + "/class/block/sr0");
  no_tree();
  file("/etc/ironic-python-agent.d/a.conf", "new");
  optical("sr1", ext4("config-2").path());
  const VirtualMedia media = read();
  EXPECT_THAT(places_of(media), ElementsAre("/etc/ironic-python-agent.d/a.conf"));
  EXPECT_FALSE(fs::exists(run_dir_ + "/virtual-media/etc/ironic-python-agent/ironic.crt"));
  EXPECT_EQ(text_of(run_dir_ + "/agent.json"), "kept");
}

TEST_F(VirtualMediaTest, WhatTheFirstMediumHasCounts) {
  file("/parameters.txt", "first");
  file("/etc/ironic-python-agent.d/a.conf", "first");
  usb("sda", ext4("ir-vfd-dev").path());
  file("/parameters.txt", "second");
  file("/etc/ironic-python-agent.d/a.conf", "second");
  file("/etc/ironic-python-agent.d/b.conf", "second");
  optical("sr0", ext4("config-2").path());
  const VirtualMedia media = read();
  EXPECT_EQ(media.parameters, "first");
  ASSERT_EQ(media.files.size(), 2U);
  EXPECT_EQ(text_of(media.files[0].copy), "first");
  EXPECT_EQ(text_of(media.files[1].copy), "second");
}

TEST_F(VirtualMediaTest, WhatIsTooLargeIsIgnoredAndSaid) {
  file("/parameters.txt", std::string((64U << 10) + 1, 'x'));
  file("/etc/ironic-python-agent/ironic.crt", std::string(kMiB + 1, 'x'));
  file("/etc/ironic-python-agent/z.crt", std::string(kMiB, 'z'));
  optical("sr0", ext4("config-2").path());
  const VirtualMedia media = read();
  EXPECT_THAT(media.parameters, IsEmpty());
  EXPECT_THAT(places_of(media), ElementsAre("/etc/ironic-python-agent/z.crt"));
  EXPECT_EQ(text_of(media.files.at(0).copy).size(), kMiB);
  EXPECT_THAT(media.problems, ElementsAre(HasSubstr("/parameters.txt"), HasSubstr("ironic.crt")));
}

TEST_F(VirtualMediaTest, NoMoreThanSixtyFourFiles) {
  for (int i = 100; i < 170; ++i)
    file("/etc/ironic-python-agent.d/" + std::to_string(i) + ".conf", "x");
  optical("sr0", ext4("config-2").path());
  const VirtualMedia media = read();
  ASSERT_EQ(media.files.size(), 64U);
  EXPECT_THAT(media.files.back().place, HasSubstr("163.conf"));
  EXPECT_THAT(media.problems, ElementsAre(HasSubstr("more than 64")));
}

TEST_F(VirtualMediaTest, LinksAndOtherThanPlainFilesLeadNowhere) {
  write(dir_.path("secret"), "a file of this machine");
  file("/x", "x");
  fs::create_symlink(dir_.path("secret"), tree() + "/parameters.txt");
  fs::create_directories(tree() + "/etc/ironic-python-agent.d");
  fs::create_directory_symlink("/etc", tree() + "/etc/ironic-python-agent");
  const std::string folder = tree() + "/etc/ironic-python-agent.d/";
  fs::create_symlink(dir_.path("secret"), folder + "link.conf");
  fs::create_symlink("plain.conf", folder + "near.conf");
  ASSERT_EQ(::mkfifo((folder + "fifo.conf").c_str(), 0600), 0);
  write(folder + "plain.conf", "plain");
  write(folder + ".hidden.conf", "hidden");
  optical("sr0", ext4("config-2").path());
  const VirtualMedia media = read();
  EXPECT_THAT(media.parameters, IsEmpty());
  EXPECT_THAT(places_of(media), ElementsAre("/etc/ironic-python-agent.d/plain.conf"));
}

TEST_F(VirtualMediaTest, AFileSystemThatDoesNotMountIsAProblemAndNoMore) {
  file("/parameters.txt", "good");
  LoopDevice& broken = ext4("ir-vfd-dev");
  // A feature that no kernel knows; the superblock's checksum is wrong as well.
  run("printf '\\377' | dd of=" + broken.path() + " bs=1 seek=1123 conv=notrunc status=none");
  usb("sda", broken.path());
  optical("sr0", ext4("config-2").path());
  const VirtualMedia media = read();
  EXPECT_THAT(media.problems, ElementsAre(HasSubstr("mounting")));
  EXPECT_EQ(media.parameters, "good");
}

TEST_F(VirtualMediaTest, ARunDirectoryThatCannotBeMadeIsAProblemAndNoMore) {
  file("/parameters.txt", "good");
  file("/etc/ironic-python-agent.d/a.conf", "x");
  optical("sr0", ext4("config-2").path());
  write(run_dir_, "a file");
  const VirtualMedia media = read();
  EXPECT_EQ(media.parameters, "good");
  EXPECT_THAT(media.files, IsEmpty());
  EXPECT_THAT(media.problems, ElementsAre(HasSubstr("virtual-media")));
}

TEST_F(VirtualMediaTest, AMediumThatComesLateIsWaitedFor) {
  file("/parameters.txt", "late");
  const std::string medium = ext4("config-2").path();
  places_.patience = milliseconds(60'000);
  std::jthread bmc([&] {
    std::this_thread::sleep_for(milliseconds(300));
    optical("sr0", medium);
  });
  EXPECT_EQ(read().parameters, "late");
}

TEST_F(VirtualMediaTest, AStopEndsTheWait) {
  places_.patience = milliseconds(600'000);
  std::stop_source stop;
  std::jthread person([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(read_virtual_media(places_, run_dir_, stop.get_token()).problems, IsEmpty());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(ConfigFiles, TheMediumsStandForTheHosts) {
  VirtualMedia media;
  media.files = {{"/etc/ironic-python-agent/ironic.crt", "/r/ironic.crt"},
                 {"/etc/ironic-python-agent/ironic-python-agent.conf", "/r/main.conf"},
                 {"/etc/ironic-python-agent.d/b.conf", "/r/b.conf"}};
  EXPECT_THAT(
      config_files(
          {"/etc/ironic-python-agent/ironic-python-agent.conf", "/etc/ironic-python-agent.d/c.conf",
           "/etc/ironic-python-agent.d/b.conf", "/etc/ironic-python-agent.d/a.conf"},
          media),
      ElementsAre("/r/main.conf", "/etc/ironic-python-agent.d/a.conf", "/r/b.conf",
                  "/etc/ironic-python-agent.d/c.conf"));
  EXPECT_THAT(
      config_files({"/etc/ironic-python-agent.d/b.conf", "/etc/ironic-python-agent.d/a.conf"},
                   VirtualMedia{}),
      ElementsAre("/etc/ironic-python-agent.d/a.conf", "/etc/ironic-python-agent.d/b.conf"));
}

}  // namespace
}  // namespace ingot::agent
