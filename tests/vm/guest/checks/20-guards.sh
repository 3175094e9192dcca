# Disks that something uses are refused, and nothing is written to them.

check_guard_mounted_disk() {
  disk=$(disk GUARD-A)
  quiet_ext4 "$disk"
  mount "$disk" /mnt
  refused device.mounted "$disk"
  umount /mnt
}

check_guard_mounted_partition() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=32M\nsize=32M\n' | sfdisk --quiet --wipe always "$disk"
  quiet_ext4 "$(partition "$disk" 2)"
  mount -o ro "$(partition "$disk" 2)" /mnt
  refused device.mounted "$disk"
  umount /mnt
}

check_guard_mounted_btrfs() {
  disk=$(disk GUARD-A)
  mkfs.btrfs -q -f -m single "$disk"
  mount "$disk" /mnt
  refused device.mounted "$disk"
  umount /mnt
}

check_guard_swap() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=32M, type=S\n' | sfdisk --quiet --wipe always "$disk"
  mkswap "$(partition "$disk" 1)"
  swapon "$(partition "$disk" 1)"
  refused device.swap "$disk"
  swapoff "$(partition "$disk" 1)"
}

check_guard_md() {
  a=$(disk GUARD-A) b=$(disk GUARD-B)
  mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean "$a" "$b"
  refused device.in-use "$a"
  mdadm --stop /dev/md0
  mdadm --zero-superblock "$a" "$b"
}

check_guard_md_of_partitions() {
  a=$(disk GUARD-A) b=$(disk GUARD-B)
  for disk in "$a" "$b"; do printf 'label: gpt\nsize=32M, type=R\n' | sfdisk --quiet --wipe always "$disk"; done
  mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.0 --assume-clean "$(partition "$a" 1)" "$(partition "$b" 1)"
  quiet_ext4 /dev/md0
  mount -o ro /dev/md0 /mnt
  refused device.mounted "$b"
  umount /mnt
  refused device.in-use "$b"
  mdadm --stop /dev/md0
  mdadm --zero-superblock "$(partition "$a" 1)" "$(partition "$b" 1)"
}

check_guard_lvm() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=64M, type=V\n' | sfdisk --quiet --wipe always "$disk"
  lvm pvcreate -ffy "$(partition "$disk" 1)"
  lvm vgcreate guard "$(partition "$disk" 1)"
  lvm lvcreate --yes --name volume --size 16M guard
  refused device.in-use "$disk"
  lvm vgchange -an guard
  accepted "$disk" # a volume group that is not active holds nothing
}

check_guard_crypt() {
  disk=$(disk GUARD-A)
  echo password >/tmp/key
  cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$disk" /tmp/key
  cryptsetup open --key-file /tmp/key "$disk" guard
  refused device.in-use "$disk"
  cryptsetup close guard
}

check_guard_loop() {
  disk=$(disk GUARD-A)
  loop=$(losetup --find --show "$disk")
  refused device.in-use "$disk"
  losetup --detach "$loop"
}

check_guard_open_elsewhere() {
  disk=$(disk GUARD-A)
  quiet_ext4 "$disk"
  unshare --mount sh -c "mount $disk /mnt && touch /tmp/mounted && exec sleep 60" &
  other=$!
  while [ ! -e /tmp/mounted ]; do sleep 0.1; done
  rc=0
  ingot_write /share/image.qcow2 "$disk" || rc=$?
  kill $other
  wait $other || true
  [ $rc = 6 ]
}

check_guard_read_only() {
  refused device.read-only "$(disk VIRTIO-RO)"
  disk=$(disk GUARD-A)
  blockdev --setro "$disk"
  refused device.read-only "$disk"
  blockdev --setrw "$disk"
  refused device.read-only /dev/sr0
}

check_guard_partition_as_disk() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=64M\n' | sfdisk --quiet --wipe always "$disk"
  refused device.unsuitable "$(partition "$disk" 1)"
}

# The map is made without the daemon: nothing here has paths that come and go.
check_guard_multipath() {
  modprobe -a dm_multipath dm_service_time
  multipath -v 2
  map=$(ls /dev/mapper/mpath*)
  refused device.in-use "$(disk TWO-PATHS)"
  accepted "$map"
}
