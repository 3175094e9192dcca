# A machine that booted from its BMC's media: `ingot agent` finds them, mounts them, and does what they say.

# media_agent: runs the agent as from such a medium. It finds no conductor and gives up; what it said is in /tmp/said.
media_agent() {
  local code=0
  echo "BOOT_IMAGE=/vmlinuz boot_method=vmedia ipa-api-url=http://192.0.2.1/command-line" >/tmp/cmdline
  ingot agent --cmdline /tmp/cmdline --mac 52:54:00:aa:00:01 --only-device "$(disk VIRTIO-A)" --power exit \
    --run-dir /tmp/agent 2>/tmp/said || code=$?
  cat /tmp/said
  [ $code != 0 ]
  lacks 'virtual media: ' /tmp/said # no warning
  lacks '/dev/sr0\|iso9660\|udf\|vfat' /proc/mounts
}

# put_parameters DEVICE: a file of parameters onto its file system.
put_parameters() {
  mount "$1" /mnt
  printf 'ipa-api-url=http://192.0.2.9/floppy\nipa-debug=1\n' >/mnt/parameters.txt
  umount /mnt
}

# as_on_medium: the disc's files are copies for root alone, and the disc's configuration counts.
as_on_medium() {
  mount -o ro /dev/sr0 /mnt
  cmp /mnt/etc/ironic-python-agent/ironic.crt /tmp/agent/virtual-media/etc/ironic-python-agent/ironic.crt
  umount /mnt
  [ "$(stat -c %a /tmp/agent/virtual-media/etc/ironic-python-agent.d/ironic-tls.conf)" = 600 ]
  [ "$(stat -c %a /tmp/agent/virtual-media)" = 700 ]
  grep 'no node was found in 1 s' /tmp/said
}

# The disc alone: ISO 9660 in an optical drive.
check_virtual_media_disc() {
  [ "$(blkid -p -o value -s LABEL /dev/sr0)" = VMEDIA_BOOT_ISO ]
  media_agent
  as_on_medium
  grep 'http://192.0.2.1/command-line' /tmp/said
}

# With a FAT "floppy" on USB beside it, whose parameters count more than the kernel command line's.
check_virtual_media_floppy() {
  local stick
  stick=$(disk USB-STICK)
  mkfs.vfat -I -n IR-VFD-DEV "$stick"
  put_parameters "$stick"
  media_agent
  as_on_medium
  grep 'http://192.0.2.9/floppy' /tmp/said
  wipefs --all "$stick"                      # which it refuses while anybody has it mounted, if by no path
  dd if=/dev/zero of="$stick" bs=1M count=1 # what it leaves of FAT is one again with a partition table
}

# The same on a partition of that stick is no medium.
check_virtual_media_partition() {
  local stick
  stick=$(disk USB-STICK)
  echo 'start=2048, type=c' | sfdisk --quiet --label dos "$stick"
  mkfs.vfat -n IR-VFD-DEV "$(partition "$stick" 1)"
  put_parameters "$(partition "$stick" 1)"
  media_agent
  lacks 'http://192.0.2.9/floppy' /tmp/said
  wipefs --all "$(partition "$stick" 1)"
  dd if=/dev/zero of="$stick" bs=1M count=2
  udevadm settle --timeout=20
  blockdev --rereadpt "$stick"
}
