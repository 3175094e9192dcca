# Writing an image to disks larger than it.

check_write_nvme() {
  disk=$(disk NVME-A)
  accepted "$disk"
  holds_image "$disk"
}

check_write_sata() {
  disk=$(disk SATA-A)
  accepted "$disk"
  holds_image "$disk"
}

check_write_scsi() {
  disk=$(disk SCSI-A)
  accepted "$disk"
  holds_image "$disk"
}

check_write_virtio() {
  disk=$(disk VIRTIO-A)
  accepted "$disk"
  holds_image "$disk"
}

check_write_usb() {
  disk=$(disk USB-STICK)
  accepted "$disk"
  holds_image "$disk"
}

check_write_card() {
  accepted /dev/mmcblk0
  holds_image /dev/mmcblk0
}

# An image made for sectors of 512 bytes cannot start a disk whose sectors have 4096.
check_write_wrong_sector() {
  for serial in NVME-B VIRTIO-B; do
    disk=$(disk $serial) rc=0
    ingot_write /share/image.qcow2 "$disk" || rc=$?
    [ $rc = 6 ]
    event_code device.sector-size
    [ -z "$(blkid -p "$disk")" ]
  done
}

check_write_4096() {
  image_4096
  for serial in NVME-B VIRTIO-B SCSI-B; do
    disk=$(disk $serial)
    ingot_write /tmp/image-4096 "$disk"
    holds_image "$disk"
  done
}
