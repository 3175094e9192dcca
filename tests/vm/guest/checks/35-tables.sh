# Tables that images bring and disks cannot take as they are: made right, as the kernel, sgdisk and sfdisk see it, or
# refused with no write at all.

# bare SIZE: an image of 64 MiB, whose GPT was made for a disk of that size.
bare() {
  rm -f /tmp/table.raw
  truncate -s "$1" /tmp/table.raw
  sgdisk -og -n1:2048:10239 -n2:10240:"${2:-100000}" -c2:root /tmp/table.raw
  truncate -s 64M /tmp/table.raw
}

# made_right DISK NOTE [OPTION…]: written with that note; both partitions are the kernel's, and the tools content.
made_right() {
  local disk=$1 note=$2
  shift 2
  empty "$disk"
  ingot_write /tmp/table.raw "$disk" "$@"
  grep '"event":"note"' /tmp/events | grep -F "$note"
  table_right "$disk"
  udevadm settle --timeout=20
  grep -w "$(basename "$(partition "$disk" 1)")" /proc/partitions
  grep -w "$(basename "$(partition "$disk" 2)")" /proc/partitions
  [ "$(cat "/sys/class/block/$(basename "$(partition "$disk" 1)")/start")" = 2048 ]
  [ "$(cat "/sys/class/block/$(basename "$(partition "$disk" 2)")/start")" = 10240 ]
  # What the kernel reads at the next start, without anybody's help.
  blockdev --rereadpt "$disk"
  udevadm settle --timeout=20
  grep -w "$(basename "$(partition "$disk" 2)")" /proc/partitions
}

# table_refused CODE DISK EXIT: no request to the disk.
table_refused() {
  local before after rc=0
  sync
  before=$(written "$2")
  ingot_write /tmp/table.raw "$2" || rc=$?
  after=$(written "$2")
  [ $rc = "$3" ] && event_code "$1" && [ "$before" = "$after" ]
  grep -F '"disk_state":"untouched"' /tmp/events
}

check_table_for_a_larger_disk() {
  bare 15931539456
  made_right "$(disk VIRTIO-A)" 'made for a larger disk'
  made_right "$(disk NVME-A)" 'made for a larger disk'
}

check_table_damaged_primary() {
  bare 64M 0
  printf eGON.BT0 | dd of=/tmp/table.raw bs=1024 seek=1 conv=notrunc
  made_right "$(disk SCSI-A)" 'rebuilt from its backup'
  echo '#cloud-config' >/tmp/user-data
  made_right "$(disk SATA-A)" 'rebuilt from its backup' --user-data /tmp/user-data
  grep -w "$(basename "$(partition "$(disk SATA-A)" 3)")" /proc/partitions
  empty "$(disk SATA-A)" # checks of config drives look for theirs among all disks
  bare 64M 0
  dd if=/dev/zero of=/tmp/table.raw bs=512 seek=1 count=1 conv=notrunc
  made_right "$(disk VIRTIO-A)" 'rebuilt from its backup'
}

check_table_copies_that_differ() {
  bare 64M 0
  sgdisk --backup=/tmp/other -t1:ef00 /tmp/table.raw
  dd if=/tmp/table.raw of=/tmp/backup bs=512 skip=131039
  bare 64M 0
  dd if=/tmp/backup of=/tmp/table.raw bs=512 seek=131039 conv=notrunc
  made_right "$(disk SCSI-A)" 'does not say the same'
}

check_table_refused() {
  bare 100G 0
  table_refused device.too-small "$(disk VIRTIO-A)" 6
  bare 64M 0
  table_refused device.sector-size "$(disk SCSI-B)" 6
  rm -f /tmp/table.raw
  truncate -s 64M /tmp/table.raw
  printf 'label: dos\nstart=2048,size=20480\nstart=22528,size=100000\n' | sfdisk --quiet /tmp/table.raw
  table_refused device.sector-size "$(disk SCSI-B)" 6
  bare 64M 0
  dd if=/dev/zero of=/tmp/table.raw bs=512 seek=1 count=1 conv=notrunc
  dd if=/dev/zero of=/tmp/table.raw bs=512 seek=131071 conv=notrunc count=1
  table_refused image.corrupt "$(disk VIRTIO-A)" 5
}
