# What the checks share. Every function fails, and so its check, when what it says is not so.

# disk SERIAL: its name in /dev, e.g. /dev/sda, as lsblk had it when the machine started.
disk() { awk -v serial="$1" '$2 == serial {print $1; found = 1; exit} END {exit !found}' /run/disks; }

# partition DISK NUMBER: the partition's device, once udev has made it.
partition() {
  udevadm settle --timeout=20
  case $1 in *[0-9]) echo "$1p$2" ;; *) echo "$1$2" ;; esac
}

# written DISK: how often and how much was written to it and discarded, since the machine started
# (Documentation/block/stat.rst).
written() { awk '{print $5, $7, $12, $14}' "/sys/class/block/$(basename "$(readlink -f "$1")")/stat"; }

# ingot_write IMAGE DISK [OPTION…]: its events in /tmp/events; fails as ingot does. IMAGE is a path.
ingot_write() {
  local image=$1 disk=$2
  shift 2
  ingot write --image-url "file://$image" --device "$disk" --insecure-no-checksum --yes --progress json "$@" >/tmp/events || {
    local code=$?
    cat /tmp/events
    return $code
  }
}

# event_code CODE: the last run ended with this error.
event_code() { grep '"event":"result"' /tmp/events | grep -F "\"code\":\"$1\""; }

# refused CODE DISK [OPTION…]: ingot refuses to write to the disk with exit code 6 and this error, and does not write.
refused() {
  local code=$1 disk=$2 before after rc=0
  shift 2
  sync
  [ ! -d /sys/block/md0 ] || sleep 1 # then it is clean, which it has said on its disks
  before=$(written "$disk")
  ingot_write /share/image.qcow2 "$disk" "$@" || rc=$?
  after=$(written "$disk")
  [ $rc = 6 ] && event_code "$code" && [ "$before" = "$after" ]
}

# accepted DISK [OPTION…]: ingot writes to it and the counters show it: the opposite of refused.
accepted() {
  local before after
  before=$(written "$1")
  ingot_write /share/image.qcow2 "$@"
  after=$(written "$1")
  [ "$before" != "$after" ]
}

# quiet_ext4 DEVICE: a file system whose making is over when mkfs is.
quiet_ext4() { mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$@"; }

# holds_image DISK: its partitions are there, mount, and hold what the host put into the image.
holds_image() {
  local root
  udevadm settle --timeout=20
  root=$(partition "$1" 2)
  [ "$(blkid -p -o value -s TYPE "$(partition "$1" 1)")" = vfat ]
  [ "$(blkid -p -o value -s LABEL "$root")" = ingot-root ]
  mount -o ro "$root" /mnt
  (cd /mnt && sha256sum -c sums)
  umount /mnt
  mount -o ro "$(partition "$1" 1)" /mnt
  umount /mnt
}

# table_right DISK: neither sgdisk nor sfdisk finds anything wrong, nor anything that it would put right.
table_right() {
  sgdisk -v "$1" >/tmp/verdict 2>&1
  cat /tmp/verdict
  grep -q '^No problems found' /tmp/verdict
  sfdisk --verify "$1" >/tmp/verdict 2>&1
  cat /tmp/verdict
  grep -q '^No errors detected' /tmp/verdict
  lacks 'corrected\|mismatch\|overlap' /tmp/verdict
}

# image_4096: makes /tmp/image-4096, for disks with sectors of 4096 bytes: only a kernel with such a disk can.
image_4096() {
  [ ! -e /tmp/image-4096 ] || return 0
  local loop
  truncate -s 48M /tmp/image-4096.new
  loop=$(losetup --find --show --sector-size 4096 /tmp/image-4096.new)
  printf 'label: gpt\nstart=256, size=4096, type=U\nstart=4608, size=6144, type=L\n' | sfdisk --quiet "$loop"
  partx -u "$loop"
  mkfs.vfat -S 4096 "$(partition "$loop" 1)"
  quiet_ext4 -L ingot-root "$(partition "$loop" 2)"
  mount "$(partition "$loop" 2)" /mnt
  echo content >/mnt/file
  (cd /mnt && sha256sum file >sums)
  umount /mnt
  losetup --detach "$loop"
  mv /tmp/image-4096.new /tmp/image-4096
}

# empty DISK…: all of it is discarded, which reads as zeros on QEMU's disks; the kernel shows no partition of it.
empty() {
  local disk
  for disk in "$@"; do
    blkdiscard --force "$disk"
    blockdev --rereadpt "$disk"
    [ -z "$(shown "$disk")" ]
  done
  udevadm settle --timeout=20
}

# lacks PATTERN FILE: no line of it has that, in capital or small letters. `! grep` would be no failure to sh -e.
lacks() { [ "$(grep -ci "$1" "$2")" = 0 ]; }

# shown DISK: the partitions of it that the kernel shows at this moment, without waiting for anybody.
shown() { awk -v disk="${1#/dev/}" '$4 ~ "^" disk "p?[0-9]+$" {print "/dev/" $4}' /proc/partitions; }

# tidy: takes apart whatever a check left behind, so that the next one starts with disks nobody uses.
tidy() {
  local disk
  set +e
  while grep -q ' /mnt ' /proc/mounts; do umount /mnt; done
  [ "$(wc -l </proc/swaps)" = 1 ] || swapoff /dev/sd*
  [ -z "$(ls -d /sys/block/dm-* 2>/dev/null)" ] || { lvm vgchange -an; dmsetup remove_all --retry; }
  [ -z "$(ls -d /sys/block/md* 2>/dev/null)" ] || mdadm --stop --scan
  [ -z "$(cat /sys/block/loop*/loop/backing_file 2>/dev/null)" ] || losetup --detach-all
  for disk in "$(disk GUARD-A)" "$(disk GUARD-B)"; do
    [ "$(cat "/sys/block/${disk##*/}/ro")" = 0 ] || blockdev --setrw "$disk"
    empty "$disk"
  done
}
