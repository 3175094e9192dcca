# Config drives are found by their label, mount, and hold what was given.

# config_drive LABEL: the partition with this label, of all the machine's; exactly one has it, or its other spelling.
config_drive() {
  udevadm settle --timeout=20
  [ "$(for disk in /sys/class/block/*; do blkid -p -o value -s LABEL "/dev/${disk##*/}" || true; done | grep -ci '^config-2$')" = 1 ]
  blkid -L "$1"
}

# forget_drives: no disk that checks write to has one.
forget_drives() {
  local serial
  for serial in SCSI-A SCSI-B VIRTIO-A VIRTIO-B NVME-A NVME-B; do empty "$(disk $serial)"; done
}

# of_files IMAGE DISK LABEL: a drive made of files.
of_files() {
  local part
  forget_drives
  printf '#cloud-config\npassword: s3cret-w0rd\n' >/tmp/user-data
  printf 'instance-id: 7a9c2f1e-0d3b-4c58-9e6f-1a2b3c4d5e6f\nlocal-hostname: node3.example.org\n' >/tmp/meta-data
  echo '{"links": [{"id": "nic0", "type": "phy", "ethernet_mac_address": "52:54:00:12:34:56"}], "networks": [], "services": []}' >/tmp/network-data
  ingot_write "$1" "$2" --user-data /tmp/user-data --meta-data /tmp/meta-data --network-data /tmp/network-data
  lacks s3cret /tmp/events
  part=$(config_drive "$3")
  [ "$part" = "$(partition "$2" 3)" ]
  mount -o ro "$part" /mnt
  cmp /tmp/user-data /mnt/openstack/latest/user_data
  jq -e '.uuid == "7a9c2f1e-0d3b-4c58-9e6f-1a2b3c4d5e6f" and .hostname == "node3.example.org"' /mnt/openstack/latest/meta_data.json
  jq -es '.[0] == .[1]' /tmp/network-data /mnt/openstack/latest/network_data.json
  umount /mnt
}

# of_iso IMAGE DISK LABEL TYPE: the drive that the host made.
of_iso() {
  local part
  forget_drives
  ingot_write "$1" "$2" --config-drive /share/drive.iso
  part=$(config_drive "$3")
  [ "$part" = "$(partition "$2" 3)" ]
  [ "$(blkid -p -o value -s TYPE "$part")" = "$4" ]
  mount -o ro "$part" /mnt
  [ "$(cat /mnt/openstack/latest/user_data)" = "$(printf '#!/bin/sh\necho drive\n')" ]
  jq -e '.uuid == "b1946ac9-2482-4a5e-8f4a-3b2e1c0d9e8f"' /mnt/openstack/latest/meta_data.json
  umount /mnt
}

check_config_drive_of_files() { of_files /share/image.qcow2 "$(disk SCSI-A)" config-2; }

check_config_drive_of_files_4096() {
  image_4096
  of_files /tmp/image-4096 "$(disk NVME-B)" CONFIG-2
}

check_config_drive_of_files_mbr() { of_files /share/image-mbr.raw "$(disk VIRTIO-A)" config-2; }

check_config_drive_iso() { of_iso /share/image.qcow2 "$(disk NVME-A)" config-2 iso9660; }

# ISO 9660 does not mount from sectors of 4096 bytes.
check_config_drive_iso_4096() {
  image_4096
  of_iso /tmp/image-4096 "$(disk VIRTIO-B)" CONFIG-2 vfat
}
