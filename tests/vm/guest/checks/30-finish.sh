# What a disk larger than its image is left like: its table fits it, and its last partition can grow.

# end_of DISK NUMBER: the sector of 512 bytes behind the partition, as the kernel has it.
end_of() {
  local at
  at=/sys/class/block/$(basename "$(partition "$1" "$2")")
  echo $(($(cat "$at/start") + $(cat "$at/size")))
}

# finished IMAGE DISK: writes it with a config drive behind it. The partitions are there when ingot ends; the second one
# grows, mounted as at a first boot, over all the room up to the config drive, and its file system with it.
finished() {
  local disk=$2 limit end before after
  empty "$disk"
  echo '#cloud-config' >/tmp/user-data
  ingot_write "$1" "$disk" --user-data /tmp/user-data
  [ "$(shown "$disk" | wc -l)" = 3 ]
  table_right "$disk"
  ingot verify --image-url "file://$1" --device "$disk" --insecure-no-checksum --progress none
  holds_image "$disk"
  [ "$(blkid -p -o value -s PTUUID "$disk")" = "$(jq -r 'select(.event == "result") | .disk_identifier' /tmp/events)" ]

  limit=$(cat "/sys/class/block/$(basename "$(partition "$disk" 3)")/start")
  mount "$(partition "$disk" 2)" /mnt
  before=$(df -k /mnt | awk 'END {print $2}')
  growpart "$disk" 2
  end=$(end_of "$disk" 2)
  [ "$end" -le "$limit" ]
  [ "$end" -gt $((limit - 2048)) ]
  resize2fs "$(partition "$disk" 2)"
  after=$(df -k /mnt | awk 'END {print $2}')
  [ "$after" -gt $((before + 400000)) ] # of disks with 1 GiB and more
  (cd /mnt && sha256sum -c sums)
  umount /mnt
  e2fsck -fn "$(partition "$disk" 2)"
  table_right "$disk"
  blkid -p -o value -s LABEL "$(partition "$disk" 3)" | grep -qi '^config-2$'
}

check_finish_gpt_raw() { finished /share/image.raw "$(disk SCSI-A)"; }
check_finish_gpt_qcow2() { finished /share/image.qcow2 "$(disk VIRTIO-A)"; }

check_finish_4096() {
  image_4096
  finished /tmp/image-4096 "$(disk SCSI-B)"
}

# Without a config drive the last partition may grow to the disk's end.
check_finish_whole_disk() {
  disk=$(disk NVME-A)
  empty "$disk"
  ingot_write /share/image.qcow2 "$disk"
  [ "$(shown "$disk")" = "$(printf '%sp1\n%sp2' "$disk" "$disk")" ]
  table_right "$disk"
  growpart "$disk" 2
  [ "$(end_of "$disk" 2)" -gt $(($(cat "/sys/block/${disk#/dev/}/size") - 4096)) ]
  table_right "$disk"
  holds_image "$disk"
}

# An MBR says nothing of the disk's size: it is as in the image, to the byte.
check_finish_mbr() {
  disk=$(disk SATA-A)
  empty "$disk"
  ingot_write /share/image-mbr.raw "$disk"
  [ "$(shown "$disk")" = "$(printf '%s1\n%s2' "$disk" "$disk")" ]
  cmp -n 1048576 /share/image-mbr.raw "$disk"
  [ "$(blkid -p -o value -s PTUUID "$disk")" = 1d0c5eed ]
  grep -q '"disk_identifier":"0x1d0c5eed"' /tmp/events
  sfdisk --verify "$disk" 2>&1 | grep '^No errors detected'
  holds_image "$disk"
  growpart "$disk" 2
  [ "$(end_of "$disk" 2)" -gt $(($(cat "/sys/block/${disk#/dev/}/size") - 4096)) ]
}
