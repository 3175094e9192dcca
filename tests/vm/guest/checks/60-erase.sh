# What is left on a disk after `ingot erase`: nothing that any tool here recognises.

# clean DEVICE…: blkid and wipefs find nothing on it.
clean() {
  local device code
  for device in "$@"; do
    code=0
    blkid -p "$device" || code=$?
    [ $code = 2 ]
    wipefs -n "$device" >/tmp/found
    cat /tmp/found
    [ ! -s /tmp/found ]
  done
}

# former DISK: remembers where its partitions are.
former() {
  local part
  udevadm settle --timeout=20
  for part in $(shown "$1"); do
    echo "$(cat "/sys/class/block/${part#/dev/}/start") $(cat "/sys/class/block/${part#/dev/}/size")"
  done >/tmp/former
  [ -s /tmp/former ]
}

# ingot_erase METHOD DISK: its events in /tmp/events; fails as ingot does.
ingot_erase() {
  ingot erase --method "$1" --device "$2" --yes --progress json >/tmp/events || {
    local code=$?
    cat /tmp/events
    return $code
  }
}

# erased METHOD DISK: erases it. The kernel shows none of its partitions, and neither the disk nor what is where its
# partitions were is anything.
erased() {
  local start size loop
  former "$2"
  ingot_erase "$1" "$2"
  [ -z "$(shown "$2")" ]
  clean "$2"
  while read -r start size; do
    loop=$(losetup --read-only --find --show --offset $((start * 512)) --sizelimit $((size * 512)) "$2")
    clean "$loop"
    if cryptsetup isLuks "$loop"; then return 1; fi
    losetup --detach "$loop"
  done </tmp/former
  udevadm settle --timeout=20
  [ -z "$(shown "$2")" ]
}

# unsupported METHOD DISK: refused with that error, and nothing is written or discarded.
unsupported() {
  local before rc=0
  sync
  before=$(written "$2")
  ingot_erase "$1" "$2" || rc=$?
  [ $rc = 6 ]
  event_code device.unsupported
  [ "$(written "$2")" = "$before" ]
}

# zeros DEVICE [FROM SIZE]: it reads as zeros there, in MiB.
zeros() { dd if="$1" bs=1M iflag=direct skip="${2:-0}" ${3:+count=$3} 2>/dev/null | tr -d '\0' | head -c 1 | wc -c | grep '^0$'; }

# Arrays of partitions, and of whole disks with the table inside the array: with metadata 1.0, at the end, every member shows
# the array's partitions as its own.
check_erase_md() {
  a=$(disk GUARD-A) b=$(disk GUARD-B)
  for disk in "$a" "$b"; do printf 'label: gpt\nsize=40M, type=R\nsize=8M\n' | sfdisk --quiet "$disk"; done
  mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean "$(partition "$a" 1)" "$(partition "$b" 1)"
  quiet_ext4 /dev/md0
  mdadm --stop /dev/md0
  erased metadata "$a"
  erased metadata "$b"
  [ -z "$(mdadm --examine --scan)" ]

  mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.0 --assume-clean "$a" "$b"
  printf 'label: gpt\nsize=32M\nsize=32M\n' | sfdisk --quiet /dev/md0
  quiet_ext4 "$(partition /dev/md0 1)"
  mdadm --stop /dev/md0
  for disk in "$a" "$b"; do
    blockdev --rereadpt "$disk"
    erased metadata "$disk"
  done
  [ -z "$(mdadm --examine --scan)" ]
}

check_erase_lvm() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=32M, type=V\nsize=32M, type=V\n' | sfdisk --quiet --wipe always "$disk"
  lvm pvcreate -ffy "$(partition "$disk" 1)" "$(partition "$disk" 2)"
  lvm vgcreate guard "$(partition "$disk" 1)" "$(partition "$disk" 2)"
  lvm lvcreate --yes --name volume --size 40M guard
  quiet_ext4 /dev/guard/volume
  rc=0
  ingot_erase metadata "$disk" || rc=$?
  [ $rc = 6 ] # the volume is active
  event_code device.in-use
  lvm vgchange -an guard
  erased metadata "$disk"
  [ -z "$(lvm pvs --noheadings)" ]
}

# LUKS2 has a second header behind the first, from which it is repaired.
check_erase_luks() {
  disk=$(disk GUARD-A)
  printf 'label: gpt\nsize=16M\nsize=64M\n' | sfdisk --quiet --wipe always "$disk"
  echo password >/tmp/key
  cryptsetup luksFormat --type luks2 --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$(partition "$disk" 2)" /tmp/key
  cryptsetup isLuks "$(partition "$disk" 2)"
  erased metadata "$disk"
}

check_erase_gpt() {
  disk=$(disk SCSI-A)
  empty "$disk"
  printf 'label: gpt\nsize=64M\nsize=320M\nsize=256M\nsize=16M, type=U\nsize=16M, type=S\n' | sfdisk --quiet --wipe always "$disk"
  quiet_ext4 "$(partition "$disk" 1)"
  mkfs.xfs -q -f -K "$(partition "$disk" 2)"
  mkfs.btrfs -q -f -K "$(partition "$disk" 3)"
  mkfs.vfat "$(partition "$disk" 4)"
  mkswap "$(partition "$disk" 5)"
  mount "$(partition "$disk" 3)" /mnt
  before=$(written "$disk")
  rc=0
  ingot_erase metadata "$disk" || rc=$?
  umount /mnt
  [ $rc = 6 ]
  event_code device.mounted
  erased metadata "$disk"
  [ "$(written "$disk")" != "$before" ]
}

check_erase_gpt_4096() {
  disk=$(disk NVME-B)
  empty "$disk"
  image_4096
  ingot_write /tmp/image-4096 "$disk"
  growpart "$disk" 2
  erased metadata "$disk"
}

# With logical partitions, and file systems on the bare disk under the table.
check_erase_mbr() {
  disk=$(disk GUARD-A)
  quiet_ext4 "$disk"
  printf 'label: dos\np1: size=16M, type=83\np2: size=70M, type=5\np5: size=16M, type=83\np6: size=16M, type=82\np7: size=16M, type=c\n' |
    sfdisk --quiet --wipe never "$disk"
  quiet_ext4 "$(partition "$disk" 1)"
  quiet_ext4 "$(partition "$disk" 5)"
  mkswap "$(partition "$disk" 6)"
  mkfs.vfat "$(partition "$disk" 7)"
  erased metadata "$disk"
}

check_erase_discard() {
  disk=$(disk SCSI-A)
  empty "$disk"
  ingot_write /share/image.qcow2 "$disk"
  before=$(awk '{print $14}' "/sys/block/${disk#/dev/}/stat")
  erased discard "$disk"
  after=$(awk '{print $14}' "/sys/block/${disk#/dev/}/stat")
  [ $((after - before)) -ge "$(cat "/sys/block/${disk#/dev/}/size")" ]
  zeros "$disk" 0 40 # QEMU's disks read as zeros where they are discarded
}

check_erase_discard_unsupported() {
  disk=$(awk '/vd/ && NF == 1 {print $1}' /run/disks)
  quiet_ext4 "$disk"
  unsupported discard "$disk"
  [ "$(blkid -p -o value -s TYPE "$disk")" = ext4 ]
}

check_erase_zero() {
  disk=$(disk GUARD-A)
  ingot_write /share/image.qcow2 "$disk"
  dd if=/dev/urandom of="$disk" bs=1M count=8 seek=60 conv=fsync
  udevadm settle --timeout=20
  erased zero "$disk"
  zeros "$disk"
}

check_erase_secure_nvme() {
  disk=$(disk NVME-A)
  empty "$disk"
  ingot_write /share/image.qcow2 "$disk"
  dd if=/dev/urandom of="$disk" bs=1M count=4 seek=2000 conv=fsync
  udevadm settle --timeout=20
  erased secure "$disk"
  zeros "$disk" 0 40
  zeros "$disk" 2000 4
}

# QEMU's other disks have no secure erase.
check_erase_secure_unsupported() {
  for serial in GUARD-A SATA-A VIRTIO-A; do
    disk=$(disk $serial)
    quiet_ext4 "$disk"
    unsupported secure "$disk"
    [ "$(blkid -p -o value -s TYPE "$disk")" = ext4 ]
    empty "$disk"
  done
  unsupported secure /dev/mmcblk0
}
