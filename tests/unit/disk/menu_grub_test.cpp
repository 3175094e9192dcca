// The default entry of GRUB's menu: menus as distributions make them, and everything a menu can be
// that has no answer.
#include <gtest/gtest.h>

#include "disk/menu/boot_menu.hpp"
#include "disk/menu/grub_menu.hpp"
#include "tests/support/boot_tree.hpp"

namespace ingot::disk {
namespace {

constexpr BootFirmware kUefi{true, "x64"};
constexpr BootFirmware kBios{false, "x64"};

class Grub : public testing::Test {
 protected:
  Grub() : esp(tree.add(VolumeRole::system)), root(tree.add()), boot(tree.add()) {}

  Result<BootChoice> choose(const std::string& config, const BootFirmware& firmware = kBios) {
    tree.put(root, "/boot/grub/grub.cfg", config);
    return choose_grub_entry(tree.volumes(), root, "/boot/grub/grub.cfg", firmware);
  }
  // The kernel's path and command line, or why there is none.
  std::string chosen(const std::string& config, const BootFirmware& firmware = kBios) {
    const auto choice = choose(config, firmware);
    return choice ? choice->kernel.path + " " + choice->command_line : choice.error().message();
  }
  void environment(std::size_t volume, const std::string& path, const std::string& lines) {
    std::string block = "# GRUB Environment Block\n" + lines;
    block.resize(1024, '#');
    tree.put(volume, path, block);
  }

  test::BootTree tree;
  const std::size_t esp, root, boot;
};

// Three entries whose kernels are /a, /b and, in a submenu, /c and /d.
const std::string kThree = R"(
menuentry 'First' --class os --id first { linux /a one }
menuentry "Second" --id=second { linux /b two }
submenu 'More > more' --class os --id 'more' {
  menuentry 'Third' --id third { linux /c three }
  menuentry 'Fourth' --id fourth { linux /d four }
}
)";

TEST_F(Grub, TheDefault) {
  for (const auto& [value, kernel] :
       {std::pair{"", "/a"}, std::pair{"0", "/a"}, std::pair{"1", "/b"}, std::pair{"2", "/c"},
        std::pair{"2>1", "/d"}, std::pair{"3", "/a"}, std::pair{"second", "/b"},
        std::pair{"Second", "/b"}, std::pair{"more>fourth", "/d"}, std::pair{"more>none", "/c"},
        std::pair{"more>1", "/d"}, std::pair{"More >> more>Fourth", "/d"}, std::pair{"none", "/a"},
        std::pair{"1st", "/a"}}) {
    const auto choice = choose("set default='" + std::string(value) + "'\n" + kThree);
    ASSERT_TRUE(choice) << value << ": " << choice.error().message();
    EXPECT_EQ(choice->kernel.path, kernel) << value;
  }
  EXPECT_EQ(chosen("default=1" + kThree), "/b BOOT_IMAGE=/b two");
}

// As grub-mkconfig writes them: the head, an entry, its submenu, what else there is.
const std::string kDebian = R"(#
# made by a program
#
### BEGIN /etc/grub.d/00_header ###
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi

if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option

if [ "${prev_saved_entry}" ]; then
  set saved_entry="${prev_saved_entry}"
  save_env saved_entry
  set prev_saved_entry=
  save_env prev_saved_entry
  set boot_once=true
fi

function savedefault {
  if [ -z "${boot_once}" ]; then
    saved_entry="${chosen}"
    save_env saved_entry
  fi
}
function load_video {
  if [ x$feature_all_video_module = xy ]; then
    insmod all_video
  else
    insmod efi_gop
    insmod vbe
  fi
}

if [ x$feature_default_font_path = xy ] ; then
   font=unicode
else
insmod part_gpt
insmod ext2
set root='hd0,gpt2'
if [ x$feature_platform_search_hint = xy ]; then
  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2  uuid-2
else
  search --no-floppy --fs-uuid --set=root uuid-2
fi
    font="/usr/share/grub/unicode.pf2"
fi

if loadfont $font ; then
  set gfxmode=auto
  load_video
  insmod gfxterm
  set locale_dir=$prefix/locale
  set lang=en_US
  insmod gettext
fi
terminal_output gfxterm
if [ "${recordfail}" = 1 ] ; then
  set timeout=30
else
  if [ x$feature_timeout_style = xy ] ; then
    set timeout_style=menu
    set timeout=5
  # Fallback normal timeout code in case the timeout_style feature is
  # unavailable.
  else
    set timeout=5
  fi
fi
### BEGIN /etc/grub.d/10_linux ###
function gfxmode {
	set gfxpayload="${1}"
	if [ "${1}" = "keep" ]; then
		set vt_handoff=vt.handoff=7
	else
		set vt_handoff=
	fi
}
if [ "${recordfail}" != 1 ]; then
  if [ -e ${prefix}/gfxblacklist.txt ]; then
    if [ ${grub_platform} != pc ]; then
      set linux_gfx_mode=keep
    elif hwmatch ${prefix}/gfxblacklist.txt 3; then
      if [ ${match} = 0 ]; then
        set linux_gfx_mode=keep
      else
        set linux_gfx_mode=text
      fi
    else
      set linux_gfx_mode=text
    fi
  else
    set linux_gfx_mode=keep
  fi
else
  set linux_gfx_mode=text
fi
export linux_gfx_mode
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class os $menuentry_id_option 'gnulinux-simple-1' {
	load_video
	gfxmode $linux_gfx_mode
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	insmod part_gpt
	insmod ext2
	set root='hd0,gpt9'
	if [ x$feature_platform_search_hint = xy ]; then
	  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2  UUID-2
	else
	  search --no-floppy --fs-uuid --set=root UUID-2
	fi
	echo	'Loading Linux 6.1.0-1 ...'
	linux	/boot/vmlinuz-6.1 root=PARTUUID=aa-bb ro  quiet $vt_handoff
	echo	'Loading initial ramdisk ...'
	initrd	/boot/initrd.img-6.1
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian GNU/Linux, with Linux 6.1' $menuentry_id_option 'gnulinux-6.1-advanced-1' {
		search --no-floppy --fs-uuid --set=root uuid-2
		linux	/boot/vmlinuz-6.1 root=x ro
		initrd	/boot/initrd.img-6.1
	}
	menuentry 'Debian GNU/Linux, with Linux 6.1 (recovery mode)' $menuentry_id_option 'recovery' {
		linux	/boot/vmlinuz-6.1 root=x ro single
	}
}
### BEGIN /etc/grub.d/30_uefi-firmware ###
if [ "$grub_platform" = "efi" ]; then
	fwsetup --is-supported
	if [ "$?" = 0 ]; then
		menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {
			fwsetup
		}
	fi
fi
### BEGIN /etc/grub.d/41_custom ###
if [ -f  ${config_directory}/custom.cfg ]; then
  source ${config_directory}/custom.cfg
elif [ -z "${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
)";

TEST_F(Grub, DebiansMenu) {
  for (const BootFirmware& firmware : {kBios, kUefi}) {
    const auto choice = choose(kDebian, firmware);
    ASSERT_TRUE(choice) << choice.error().message();
    EXPECT_EQ(choice->title, "Debian GNU/Linux");
    EXPECT_EQ(choice->source, "/boot/grub/grub.cfg");
    EXPECT_EQ(choice->kernel, (BootFile{root, "/boot/vmlinuz-6.1"}));
    EXPECT_EQ(choice->initrds, (std::vector<BootFile>{{root, "/boot/initrd.img-6.1"}}));
    EXPECT_EQ(choice->command_line,
              "BOOT_IMAGE=/boot/vmlinuz-6.1 root=PARTUUID=aa-bb ro quiet vt.handoff=7");
  }
  // What the hardware would have to be asked for leaves out the picture, and no more.
  tree.put(root, "/boot/grub/gfxblacklist.txt");
  EXPECT_EQ(choose(kDebian, kBios).value().command_line,
            "BOOT_IMAGE=/boot/vmlinuz-6.1 root=PARTUUID=aa-bb ro quiet");
}

TEST_F(Grub, DebiansMenuOnce) {
  environment(root, "/boot/grub/grubenv", "next_entry=gnulinux-advanced-1>recovery\n");
  EXPECT_EQ(chosen(kDebian), "/boot/vmlinuz-6.1 BOOT_IMAGE=/boot/vmlinuz-6.1 root=x ro single");
  // Whether firmware has a setup decides where the last entry is.
  environment(root, "/boot/grub/grubenv", "next_entry=uefi-firmware\n");
  EXPECT_NE(chosen(kDebian, kUefi).find("depends on what is not known"), std::string::npos);
  EXPECT_EQ(chosen(kDebian, kBios).find("depends"), std::string::npos);
}

TEST_F(Grub, AnAddedMenuMayChangeTheDefault) {
  tree.put(root, "/boot/grub/custom.cfg",
           "set default=own\nmenuentry Own --id own { linux /own }\n");
  EXPECT_EQ(chosen(kDebian), "/own BOOT_IMAGE=/own");
}

TEST_F(Grub, TheMenuOfASavedDefault) {
  const std::string head =
      "if [ -s $prefix/grubenv ]; then load_env; fi\n"
      "set default=\"${saved_entry}\"\n";
  EXPECT_EQ(chosen(head + kThree), "/a BOOT_IMAGE=/a one");
  environment(root, "/boot/grub/grubenv", "saved_entry=second\n");
  EXPECT_EQ(chosen(head + kThree), "/b BOOT_IMAGE=/b two");
  environment(root, "/boot/grub/grubenv", "saved_entry=More >> more>Fourth\n");
  EXPECT_EQ(chosen(head + kThree), "/d BOOT_IMAGE=/d four");
  // Where GRUB keeps the rest of it in a gap of the disk.
  environment(root, "/boot/grub/grubenv", "env_block=512+1\nsaved_entry=second\n");
  EXPECT_NE(chosen(head + kThree).find("not known"), std::string::npos);
}

TEST_F(Grub, AStubOnTheSystemPartition) {
  tree.put(root, "/boot/grub/grub.cfg", kDebian);
  tree.put(esp, "/EFI/debian/grub.cfg",
           "search.fs_uuid uuid-2 root hd0,gpt2\nset prefix=($root)'/boot/grub'\n"
           "configfile $prefix/grub.cfg\n");
  const auto choice = choose_boot(tree.volumes(), kUefi);
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->kernel, (BootFile{root, "/boot/vmlinuz-6.1"}));
  // One that leads elsewhere is followed there, and the other menu does not count.
  tree.put(boot, "/grub2/grub.cfg", "menuentry B { linux /k b }");
  tree.put(esp, "/EFI/debian/grub.cfg",
           "search --no-floppy --root-dev-only --fs-uuid --set=dev uuid-3\n"
           "set prefix=($dev)/grub2\nexport $prefix\nconfigfile $prefix/grub.cfg\n"
           "search --set=root --label label-3\n");
  EXPECT_EQ(choose_boot(tree.volumes(), kUefi).value().title, "B");
  // A BIOS does not look at that partition, and then it is not clear which menu it is.
  const auto several = choose_boot(tree.volumes(), kBios);
  ASSERT_FALSE(several);
  EXPECT_NE(several.error().message().find("several menus"), std::string::npos);
}

TEST_F(Grub, ASmallMenuOfOurOwn) {
  const auto choice = choose(R"(set timeout=1
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
menuentry 'Debian GNU/Linux 12' {
  search --no-floppy --set=root --label label-2
  linux /vmlinuz root=LABEL=debian-root ro console=tty0 console=ttyS0,115200
  initrd /initrd.img
}
)");
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->command_line,
            "BOOT_IMAGE=/vmlinuz root=LABEL=debian-root ro console=tty0 console=ttyS0,115200");
  EXPECT_EQ(choice->initrds, (std::vector<BootFile>{{root, "/initrd.img"}}));
}

// As Ubuntu's cloud images have it: first without an initrd.
TEST_F(Grub, ACloudImageWithoutInitrd) {
  const std::string config = R"(
if [ -s $prefix/grubenv ]; then set have_grubenv=true; load_env; fi
if [ "${initrdfail}" = 2 ]; then
   set initrdfail=
elif [ "${initrdfail}" = 1 ]; then
   set next_entry="${prev_entry}"
   set prev_entry=
   save_env prev_entry
   if [ "${next_entry}" ]; then
      set initrdfail=2
   fi
fi
set default="0"
function recordfail {
  set recordfail=1
  if [ -n "${have_grubenv}" ]; then if [ -z "${boot_once}" ]; then save_env recordfail; fi; fi
}
function initrdfail {
    if [ -n "${have_grubenv}" ]; then if [ -n "${partuuid}" ]; then
      if [ -z "${initrdfail}" ]; then
        set initrdfail=1
        if [ -n "${boot_once}" ]; then
          set prev_entry="${default}"
          save_env prev_entry
        fi
      fi
      save_env initrdfail
    fi; fi
}
set partuuid=aa-bb
menuentry 'Ubuntu' --class ubuntu {
  recordfail
  search --no-floppy --fs-uuid --set=root uuid-3
  if [ "${initrdfail}" = 1 ]; then
    linux /vmlinuz-6.8 root=PARTUUID=aa-bb ro console=tty1
    initrd /initrd.img-6.8
  else
    linux /vmlinuz-6.8 root=PARTUUID=aa-bb ro console=tty1 panic=-1
  fi
  initrdfail
}
)";
  const auto choice = choose(config);
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->kernel, (BootFile{boot, "/vmlinuz-6.8"}));
  EXPECT_TRUE(choice->initrds.empty());
  EXPECT_EQ(choice->command_line,
            "BOOT_IMAGE=/vmlinuz-6.8 root=PARTUUID=aa-bb ro console=tty1 panic=-1");
  environment(root, "/boot/grub/grubenv", "initrdfail=1\n");
  EXPECT_EQ(choose(config).value().initrds.size(), 1U);
}

// As Fedora has it: boot loader entries, variables from grubenv.
TEST_F(Grub, Fedora) {
  tree.put(boot, "/grub2/grub.cfg", R"(
if [ -f ${config_directory}/grubenv ]; then
  load_env -f ${config_directory}/grubenv
elif [ -s $prefix/grubenv ]; then
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="${saved_entry}"
fi
if [ "${env_block}" ] ; then
  set env_block="(${root})${env_block}"
fi
insmod part_gpt
search --no-floppy --fs-uuid --set=root uuid-3
insmod blscfg
blscfg
if [ "${boot_success}" = "1" -o "${boot_indeterminate}" = "1" ]; then
  set menu_hide_ok=1
fi
)");
  tree.put(boot, "/loader/entries/m-6.9.5.conf",
           "title Fedora (6.9.5)\nversion 6.9.5\nlinux /vmlinuz-6.9.5\n"
           "initrd /initramfs-6.9.5.img $tuned_initrd\noptions $kernelopts $tuned_params\n");
  tree.put(boot, "/loader/entries/m-6.10.1.conf",
           "title Fedora (6.10.1)\nversion 6.10.1\nlinux /vmlinuz-6.10.1\n"
           "initrd /initramfs-6.10.1.img $tuned_initrd\noptions $kernelopts $tuned_params\n");
  tree.put(boot, "/loader/entries/m-0-rescue.conf", "title Rescue\nlinux /rescue\n");
  environment(boot, "/grub2/grubenv", "kernelopts=root=UUID=1 ro rootflags=subvol=root\n");
  const auto choose_fedora = [this] {
    return choose_grub_entry(tree.volumes(), boot, "/grub2/grub.cfg", kBios);
  };
  auto choice = choose_fedora();
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->title, "Fedora (6.10.1)");
  EXPECT_EQ(choice->kernel, (BootFile{boot, "/vmlinuz-6.10.1"}));
  EXPECT_EQ(choice->initrds, (std::vector<BootFile>{{boot, "/initramfs-6.10.1.img"}}));
  EXPECT_EQ(choice->command_line,
            "BOOT_IMAGE=(hd0,gpt3)/vmlinuz-6.10.1 root=UUID=1 ro rootflags=subvol=root");
  environment(boot, "/grub2/grubenv",
              "saved_entry=m-6.9.5\ntuned_params=isolcpus=1 skew_tick=1\n"
              "tuned_initrd=($root)/tuned.img\nkernelopts=root=UUID=2\n");
  choice = choose_fedora();
  ASSERT_TRUE(choice) << choice.error().message();
  EXPECT_EQ(choice->title, "Fedora (6.9.5)");
  EXPECT_EQ(choice->command_line,
            "BOOT_IMAGE=(hd0,gpt3)/vmlinuz-6.9.5 root=UUID=2 isolcpus=1 skew_tick=1");
}

TEST_F(Grub, LoaderEntriesBelowBoot) {
  tree.put(root, "/boot/loader/entries/a.conf",
           "title A\nlinux /boot/vmlinuz\noptions $kernelopts\n");
  EXPECT_EQ(chosen("default_kernelopts='root=x ro'\nblscfg\n"),
            "/boot/vmlinuz BOOT_IMAGE=(hd0,gpt2)/boot/vmlinuz root=x ro");
}

TEST_F(Grub, WordsAndQuotes) {
  const auto line = [this](const std::string& arguments, const std::string& before = "") {
    const auto choice = choose(before + "\nmenuentry x {\n linux /k " + arguments + "\n}\n");
    return choice ? choice->command_line.substr(std::string("BOOT_IMAGE=/k").size())
                  : choice.error().message();
  };
  EXPECT_EQ(line("a  b\tc"), " a b c");
  EXPECT_EQ(line("'a b' \"c\""), " \"a b\" c");
  EXPECT_EQ(line("a\\ b # c"), " \"a b\"");
  EXPECT_EQ(line("a#b"), " a#b");
  EXPECT_EQ(line("a \\\n b"), " a b");
  EXPECT_EQ(line("\"a\\\"b\" '\\'"), " a\\\"b \\\\");
  EXPECT_EQ(line("$v ${v}x \"$v\" '$v' \\$v", "set v='1 2'"), " 1 2 1 2x \"1 2\" $v $v");
  EXPECT_EQ(line("$none a\"$none\"b \"\""), " ab ");
  EXPECT_EQ(line("x=$v", "v=7"), " x=7");
  EXPECT_EQ(line("${w}", "set v=1\nset w=\"$v$v\""), " 11");
}

TEST_F(Grub, Tests) {
  tree.put(root, "/there");
  for (const auto& [test, wanted] :
       {std::pair{"[ a = a ]", "yes"}, std::pair{"[ a == b ]", "no"},
        std::pair{"[ a != b ]", "yes"}, std::pair{"[ ! a = a ]", "no"}, std::pair{"[ a ]", "yes"},
        std::pair{"[ \"\" ]", "no"}, std::pair{"[ ]", "no"}, std::pair{"[ -n x ]", "yes"},
        std::pair{"[ -z x ]", "no"}, std::pair{"[ -z \"$none\" -a -n x ]", "yes"},
        std::pair{"[ a = b -o c = c ]", "yes"}, std::pair{"[ a = b -o c = d ]", "no"},
        std::pair{"[ ( a = b -o c = c ) -a d = d ]", "yes"}, std::pair{"[ 10 -gt 9 ]", "yes"},
        std::pair{"test 1 -ge 2", "no"}, std::pair{"[ -f /there ]", "yes"},
        std::pair{"[ -e /missing ]", "no"}, std::pair{"[ -d /boot ]", "yes"},
        std::pair{"[ -f (hd0,gpt2)/there ]", "yes"}, std::pair{"[ -f (hd0,2)/there ]", "yes"},
        std::pair{"true", "yes"}, std::pair{"false", "no"},
        std::pair{"[ \"$grub_platform\" = pc ]", "yes"},
        // Not known: neither answer may be taken.
        std::pair{"[ -f (hd1,gpt2)/there ]", "?"}, std::pair{"[ -f (cd0)/there ]", "?"},
        std::pair{"[ \"$net_default_ip\" = 1 ]", "?"}, std::pair{"cpuid -l", "?"},
        std::pair{"search --label --set=root none", "?"}, std::pair{"[ a -foo b -a ]", "?"}}) {
    const std::string got =
        chosen(std::string("if ") + test +
               "; then set a=yes; else set a=no; fi\nmenuentry x { linux /k $a }");
    if (std::string_view(wanted) == "?")
      EXPECT_NE(got.find("not known"), std::string::npos) << test << ": " << got;
    else
      EXPECT_EQ(got, std::string("/k BOOT_IMAGE=/k ") + wanted) << test;
  }
}

TEST_F(Grub, TheFirstBranchThatIsTrue) {
  EXPECT_EQ(chosen("if false; then a=1; elif true; then a=2; elif true; then a=3; else a=4; fi\n"
                   "menuentry x { linux /k $a }"),
            "/k BOOT_IMAGE=/k 2");
}

// Each is a menu whose default somebody would have to guess.
TEST_F(Grub, WhatIsNotKnownIsNotGuessed) {
  const std::string entry = "menuentry x { linux /k }\n";
  for (const auto& [config, why] : {
           std::pair{"if cpuid -l; then set default=1; fi\n" + entry + entry, "default entry"},
           std::pair{"if cpuid -l; then " + entry + "fi\n" + entry, "which entry"},
           std::pair{"if cpuid -l; then source /x; fi\n" + entry, "default"},
           std::pair{"if cpuid -l; then configfile /x; fi\n" + entry, "default"},
           std::pair{"if cpuid -l; then blscfg; fi\n" + entry, "which entry"},
           std::pair{"if cpuid -l; then load_env; fi\n" + entry, "default entry"},
           std::pair{"if cpuid -l; then reboot; fi\n" + entry, "'reboot' is not followed"},
           std::pair{"while true; do set default=1; done\n" + entry, "default entry"},
           std::pair{"for i in a b; do set default=$i; done\n" + entry, "default entry"},
           std::pair{std::string("menuentry x { if cpuid -l; then linux /k; fi }"), "depends on"},
           std::pair{std::string("menuentry x { linux /k; if cpuid -l; then initrd /i; fi }"),
                     "depends on"},
           std::pair{std::string("menuentry x { search --set=root --label l; linux /k }"),
                     "where the kernel"},
           std::pair{std::string("menuentry x { set root=hd1,gpt1; linux /k }"),
                     "where the kernel"},
           std::pair{std::string("menuentry x { linux k }"), "where the kernel"},
           std::pair{std::string("menuentry x { linux /k $cmdpath }"), "command line"},
           std::pair{std::string("menuentry x { linux /k; initrd newc:a:/b }"), "where an initrd"},
           std::pair{std::string("menuentry x { chainloader /EFI/x.efi }"), "'chainloader'"},
           std::pair{std::string("menuentry x { devicetree /x; linux /k }"), "'devicetree'"},
           std::pair{std::string("menuentry x { multiboot2 /xen.gz; module2 /k }"), "'multiboot2'"},
           std::pair{std::string("menuentry x { true }"), "starts no Linux"},
           std::pair{std::string("exit\n") + entry, "'exit' is not followed"},
           std::pair{std::string("eval \"set default=1\"\n") + entry, "'eval' is not followed"},
           std::pair{std::string("$cmdpath\n") + entry, "what runs there"},
           std::pair{std::string("set superusers=root\n") + entry, "password"},
           std::pair{std::string("set default=$cmdpath\n") + entry, "default entry"},
           std::pair{std::string("set timeout=5\n"), "no entries"},
           std::pair{std::string("menuentry x --source='linux /k'\n"), "no body"},
       }) {
    const auto choice = choose(config);
    ASSERT_FALSE(choice) << config << choice->kernel.path;
    EXPECT_EQ(choice.error().code(), Errc::image_unsupported);
    EXPECT_NE(choice.error().message().find(why), std::string::npos)
        << config << choice.error().message();
    EXPECT_NE(choice.error().message().find("grub.cfg: "), std::string::npos)
        << choice.error().message();
  }
  EXPECT_EQ(chosen("set superusers=root\nmenuentry x --unrestricted { linux /k }"),
            "/k BOOT_IMAGE=/k");
}

TEST_F(Grub, TwoFileSystemsOfOneName) {
  tree.volumes()[boot].uuid = "uuid-2";
  EXPECT_NE(
      chosen("menuentry x { search --fs-uuid --set=root uuid-2; linux /k }").find("kernel is"),
      std::string::npos);
}

TEST_F(Grub, NoScript) {
  for (const std::string& config : std::vector<std::string>{
           "menuentry 'x { linux /k }", "menuentry \"x", "if true; then", "if true; fi", "fi",
           "menuentry x {", "}", "{", "a | b", "a && b", "${", "${a", "function", "function f",
           "x \\", "else", "while true; do", "menuentry x { linux /k } }",
           std::string("\0\1\2{", 4)}) {
    const auto choice = choose(config);
    ASSERT_FALSE(choice) << config;
    EXPECT_EQ(choice.error().code(), Errc::image_unsupported) << choice.error().message();
  }
}

// Nothing here takes long, or much memory.
TEST_F(Grub, WithoutEnd) {
  tree.put(root, "/self.cfg", "source /self.cfg\n");
  tree.put(root, "/config.cfg", "configfile /config.cfg\n");
  std::string grow = "set a=aaaaaaaaaaaaaaaa\n";
  for (int i = 0; i < 60; ++i) grow += "set a=$a$a\n";
  std::string deep, many;
  for (int i = 0; i < 100'000; ++i) {
    deep += "if true; then ";
    many += "x ";
  }
  std::string submenus, end;
  for (int i = 0; i < 20; ++i) {
    submenus += "submenu x {\n";
    end += "}\n";
  }
  for (const std::string& config :
       {std::string("source /self.cfg"), std::string("configfile /config.cfg"),
        std::string("function f {\n f\n}\nf\n"),
        std::string("function f {\n f\n f\n}\nif cpuid; then f; fi\n"),
        std::string("function g { true }\nfunction f { g; if cpuid; then f; f; f; fi }\nf\n"),
        grow + "menuentry x { linux /k $a }", deep, many,
        submenus + "menuentry y { linux /k }\n" + end, std::string(kMostMenuBytes + 1, '#')}) {
    const auto choice = choose(config);
    ASSERT_FALSE(choice) << config.substr(0, 80);
    EXPECT_EQ(choice.error().code(), Errc::image_unsupported);
  }
}

}  // namespace
}  // namespace ingot::disk
