# What ingot says of disks is what lsblk, udev and sysfs say; and hints choose the disks meant.

# Names of lsblk's columns and what `ingot devices` calls the same, as a jq filter for one of lsblk's devices.
as_ours='{name, kname, type, device_number: ."maj:min", size, logical_sector_size: ."log-sec", physical_sector_size: ."phy-sec",
  rotational: .rota, removable: .rm, read_only: .ro, transport: .tran, model, serial, wwn}'

# like_lsblk DEVICE…: of these lsblk and ingot say the same, but for blanks around texts; and Debian's lsblk, 2.38, knows no
# transport of virtio disks and memory cards.
like_lsblk() {
  lsblk --nodeps --json --bytes --paths --output \
    NAME,KNAME,TYPE,MAJ:MIN,SIZE,LOG-SEC,PHY-SEC,ROTA,RM,RO,TRAN,MODEL,SERIAL,WWN "$@" >/tmp/lsblk
  jq "[.blockdevices[] | .kname |= ltrimstr(\"/dev/\") | $as_ours | .[] |= (strings |= (gsub(\"^ +| +$\"; \"\") | if . == \"\" then null else . end))]
    | .[] |= (if .transport != null then .
      elif .kname | startswith(\"vd\") then .transport = \"virtio\"
      elif .kname | startswith(\"mmcblk\") then .transport = \"mmc\" else . end) | sort_by(.name)" /tmp/lsblk >/tmp/theirs
  ingot devices -o json "$@" >/tmp/devices
  jq "[.disks[] | . + {\"maj:min\": .device_number, \"log-sec\": .logical_sector_size, \"phy-sec\": .physical_sector_size,
    rota: .rotational, rm: .removable, ro: .read_only, tran: .transport} | $as_ours] | sort_by(.name)" /tmp/devices >/tmp/ours
  diff /tmp/theirs /tmp/ours
}

# disk_has SERIAL FILTER: jq's filter is true of what ingot says of the disk, or has said in /tmp/devices.
disk_has() {
  [ -e /tmp/devices ] || ingot devices -o json >/tmp/devices
  jq -e ".disks[] | select(.name == \"$(disk "$1")\") | (if $2 then empty else . end), $2" /tmp/devices
}

# All disks, and what is listed without being named.
check_devices_all() {
  # shellcheck disable=SC2046 # words
  like_lsblk $(lsblk --nodeps --noheadings --list --paths --output NAME,TYPE | awk '$2 == "disk" {print $1}')
  ingot devices -o json >/tmp/devices
  jq -r '.disks[].kname' /tmp/devices | sort >/tmp/ours
  lsblk --nodeps --noheadings --list --output NAME,TYPE | awk '$2 == "disk" {print $1}' | sort >/tmp/theirs
  diff /tmp/theirs /tmp/ours
  [ -z "$(jq -r '.disks[] | select(.running_system) | .name' /tmp/devices)" ]
}

# What lsblk does not say, from udev's database, sysfs and /dev/disk: lines of a device, a member, its value.
check_devices_udev() {
  ingot devices -o json >/tmp/devices
  jq -r '.disks[] | .kname as $device | ({sequence, hctl, vendor, udev_serial_short, udev_serial, udev_wwn, wwn_with_extension,
      wwn_vendor_extension, by_path} | to_entries[] | "\($device) \(.key) \(.value // "")"),
    (.by_path_links[], .by_id[] | "\($device) link \(.)")' /tmp/devices | sort >/tmp/ours
  for device in $(jq -r '.disks[].kname' /tmp/devices); do
    at=/sys/block/$device
    echo "$device sequence $(cat "$at/diskseq")"
    echo "$device hctl $(cd "$at/device/scsi_device" 2>/dev/null && echo *)"
    read -r vendor <"$at/device/vendor" || vendor=
    echo "$device vendor $vendor"
    udevadm info --query=property "/dev/$device" | awk -F= -v device="$device" '
      BEGIN {
        split("udev_serial_short ID_SERIAL_SHORT udev_serial ID_SERIAL udev_wwn ID_WWN wwn_with_extension ID_WWN_WITH_EXTENSION" \
          " wwn_vendor_extension ID_WWN_VENDOR_EXTENSION by_path ID_PATH", words, " ")
        for (i = 1; i in words; i += 2) value[words[i + 1]] = ""
      }
      $1 in value {value[$1] = ($1 == "ID_PATH" ? "/dev/disk/by-path/" : "") substr($0, length($1) + 2)}
      END {for (i = 1; i in words; i += 2) print device, words[i], value[words[i + 1]]}'
    for kind in path id; do
      find "/dev/disk/by-$kind" -type l -exec ls -l {} + | awk -v device="$device" '$NF == "../../" device {print device, "link", $(NF - 2)}'
    done
  done | sort >/tmp/theirs
  diff /tmp/theirs /tmp/ours
}

# What the machine was made with (tests/vm/machine.py).
check_devices_known() {
  rm -f /tmp/devices
  disk_has SCSI-A '.serial == "SCSI-A" and .model == "SCSI DISK A" and .vendor == "INGOT" and .wwn == "0x5000c500deadbee1"
    and .size == 7516192768 and .rotational and (.hctl | endswith(":0:1:0")) and (.removable | not)'
  disk_has SCSI-B '.logical_sector_size == 4096 and (.rotational | not) and (.hctl | endswith(":0:1:3"))'
  disk_has SATA-A '.transport == "sata" and .model == "INGOT SATA DISK" and .wwn == "0x5000c500a1b2c3d4" and .rotational'
  disk_has SATA-B '.transport == "sata" and (.rotational | not)'
  # Linux takes QEMU's eui64 and uuid for bogus and makes its own.
  disk_has NVME-A '.transport == "nvme" and (.wwn | startswith("nvme.1b36-4e564d452d41-")) and (.rotational | not)'
  disk_has NVME-B '.logical_sector_size == 4096 and .serial == "NVME-B"'
  disk_has VIRTIO-A '.transport == "virtio" and .serial == "VIRTIO-A" and .wwn == null'
  disk_has VIRTIO-RO '.read_only'
  disk_has USB-STICK '.transport == "usb" and .removable'
  jq -e '.disks[] | select(.kname == "mmcblk0") | .transport == "mmc" and .size == 67108864' /tmp/devices
}

check_devices_tables() {
  empty "$(disk GUARD-A)" "$(disk GUARD-B)"
  disk=$(disk GUARD-A)
  rm -f /tmp/devices
  disk_has GUARD-A '.table == null and .table_id == null and .users == []'
  printf 'label: gpt\nlabel-id: 7A9C2F1E-0D3B-4C58-9E6F-1A2B3C4D5E6F\nsize=32M\n' | sfdisk --quiet "$disk"
  rm -f /tmp/devices
  disk_has GUARD-A '.table == "gpt" and (.table_id | ascii_downcase) == "7a9c2f1e-0d3b-4c58-9e6f-1a2b3c4d5e6f"'
  quiet_ext4 "$(partition "$disk" 1)"
  mount "$(partition "$disk" 1)" /mnt
  rm -f /tmp/devices
  disk_has GUARD-A '(.users | length) == 1 and (.users[0] | contains("/mnt"))'
  umount /mnt
  empty "$disk"
  printf 'label: dos\nlabel-id: 0x1d0c5eed\nsize=32M\n' | sfdisk --quiet "$disk"
  rm -f /tmp/devices
  disk_has GUARD-A '.table == "dos" and (.table_id | contains("1d0c5eed"))'
}

# An array is a disk, and so are its members; lsblk calls it by its level.
check_devices_md() {
  a=$(disk GUARD-A) b=$(disk GUARD-B)
  mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean "$a" "$b"
  like_lsblk /dev/md0 "$a" "$b"
  ingot devices -o json >/tmp/devices
  jq -e '.disks[] | select(.kname == "md0") | .type == "raid1"' /tmp/devices
  jq -e "[.disks[] | select(.name == \"$a\" or .name == \"$b\") | .users[0] | contains(\"md0\")] == [true, true]" /tmp/devices
}

# Of two paths and their map only the map is a disk.
check_devices_multipath() {
  modprobe -a dm_multipath dm_service_time
  multipath -v 2
  map=$(ls /dev/mapper/mpath*)
  ingot devices -o json >/tmp/devices
  jq -e '[.disks[] | select(.type == "mpath")] | length == 1' /tmp/devices
  jq -e '[.disks[] | select(.serial == "TWO-PATHS" and .type == "disk")] == []' /tmp/devices
  name=$(jq -r '.disks[] | select(.type == "mpath") | .name' /tmp/devices)
  [ "$(readlink -f "$name")" = "$(readlink -f "$map")" ]
}

# chosen SERIAL HINTS: `ingot write` takes that disk, and nothing is written to it; `ingot devices` says the same.
chosen() {
  local before disk
  disk=$(disk "$1")
  before=$(written "$disk")
  ingot write --image-url file:///share/image.qcow2 --root-device-hints "$2" --insecure-no-checksum --dry-run --progress json >/tmp/events
  grep '"event":"started"' /tmp/events | grep -F "\"device\":\"$disk\""
  [ "$(written "$disk")" = "$before" ]
  ingot devices -o json --root-device-hints "$2" | grep -F "\"chosen\":\"$disk\""
}

check_devices_hints() {
  chosen NVME-A '{"serial": "nvme-a"}'
  chosen SCSI-A '{"wwn": "0x5000c500deadbee1"}'
  chosen SATA-A '{"wwn_with_extension": "0x5000c500a1b2c3d4"}'
  chosen SCSI-A "{\"hctl\": \"$(ls "/sys/block/$(basename "$(disk SCSI-A)")/device/scsi_device")\"}"
  chosen SCSI-A '{"vendor": "<in> ingot", "size": ">= 7"}'
  chosen SATA-A '{"model": "<in> sata", "rotational": true}'
  chosen SATA-A '{"size": "== 6"}'
  chosen USB-STICK '{"tran": "usb"}'
  chosen NVME-A '{"rotational": false, "size": ">= 5", "tran": "<or> nvme <or> sata"}'
  chosen VIRTIO-A "{\"name\": \"$(disk VIRTIO-A)\"}"
  path=$(ingot devices -o json "$(disk SATA-A)" | jq -r '.disks[0].by_path')
  [ "$(readlink -f "$path")" = "$(disk SATA-A)" ]
  chosen SATA-A "{\"by_path\": \"$path\"}"
}

# The smallest with 4 GiB and more; and what happens when hints fit no disk.
check_devices_default() {
  [ "$(ingot devices -o json --root-device-hints '{}' | jq -r .chosen)" = "$(disk NVME-B)" ]
  rc=0
  ingot devices -o json --root-device-hints '{"serial": "nobody"}' >/tmp/devices 2>/tmp/said || rc=$?
  [ $rc = 6 ]
  [ "$(jq -r .chosen /tmp/devices)" = null ]
  [ "$(jq '[.disks[] | select(.excluded_by == null)] | length' /tmp/devices)" = 0 ]
  grep -F device.no-match /tmp/said
  rc=0
  ingot write --image-url file:///share/image.qcow2 --root-device-hints '{"serial": "nobody"}' --insecure-no-checksum --yes \
    --progress json >/tmp/events || rc=$?
  [ $rc = 6 ]
  event_code device.no-match
}
