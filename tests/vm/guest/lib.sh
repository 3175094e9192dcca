# What the checks share. Every function fails, and so its check, when what it says is not so.

# disk SERIAL: its name in /dev, e.g. /dev/sda, as lsblk had it when the machine started.
disk() {
  local name serial
  while read -r name serial; do
    if [ "$serial" = "$1" ]; then
      echo "$name"
      return 0
    fi
  done </run/disks
  echo "no disk has the serial number $1" >&2
  return 1
}

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

# tidy: takes apart whatever a check left behind, so that the next one starts with disks nobody uses.
tidy() {
  local size
  set +e
  while grep -q ' /mnt ' /proc/mounts; do umount /mnt; done
  [ "$(wc -l </proc/swaps)" = 1 ] || swapoff /dev/sd*
  [ -z "$(ls -d /sys/block/dm-* 2>/dev/null)" ] || { lvm vgchange -an; dmsetup remove_all --retry; }
  [ -z "$(ls -d /sys/block/md* 2>/dev/null)" ] || mdadm --stop --scan
  [ -z "$(cat /sys/block/loop*/loop/backing_file 2>/dev/null)" ] || losetup --detach-all
  for disk in "$(disk GUARD-A)" "$(disk GUARD-B)"; do
    [ "$(cat "/sys/block/${disk##*/}/ro")" = 0 ] || blockdev --setrw "$disk"
    size=$(cat "/sys/block/${disk##*/}/size")
    dd if=/dev/zero of="$disk" bs=1M count=1
    dd if=/dev/zero of="$disk" bs=512 count=2048 seek=$((size - 2048))
    blockdev --rereadpt "$disk"
  done
}
