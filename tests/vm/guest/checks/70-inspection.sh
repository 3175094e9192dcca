# What Ironic's inspection is told of a machine whose hardware is known: firmware, BMC, a NIC, disks of every kind.

has() { # has FILTER: jq's filter is true of the inspection's body
  jq -e "$1" /tmp/body.json || { jq . /tmp/body.json && false; }
}

check_inspection() {
  cp /share/inspect_node /tmp
  modprobe -a e1000e ipmi_si ipmi_devintf
  for _ in $(seq 200); do
    [ -c /dev/ipmi0 ] && [ -e /sys/class/net/eth0 ] && break
    sleep 0.1
  done
  # Somebody gave it another address: its own is reported.
  ip link set dev eth0 address 52:54:00:ff:ff:ff
  ip addr add 192.0.2.9/24 dev eth0
  ip link set dev eth0 up
  for _ in $(seq 100); do [ "$(cat /sys/class/net/eth0/carrier)" != 1 ] || break; sleep 0.1; done
  echo '{"collectors": ["default", "logs"]}' | /tmp/inspect_node >/tmp/answer.json
  jq .body /tmp/answer.json >/tmp/body.json
  has '.error == null'
  has '.inventory.interfaces | map(select(.name == "eth0")) == [{name: "eth0", mac_address: "52:54:00:12:34:56",
    ipv4_address: "192.0.2.9", ipv6_address: null, has_carrier: true, lldp: null, vendor: "0x8086", product: "0x10d3",
    client_id: null, biosdevname: null, speed_mbps: 1000, pci_address: "'"$(basename "$(readlink /sys/class/net/eth0/device)")"'",
    driver: "e1000e"}]'
  has '.inventory.bmc_address == "172.22.0.5"'
  has '.inventory.bmc_v6address == "2001:db8::3"'
  has '.inventory.bmc_mac == "52:54:00:00:0b:03"'
  has '.inventory.system_vendor | .manufacturer == "Ingot Works" and .product_name == "Server X" and .serial_number == "ABC-1"'
  has '.inventory.system_vendor.firmware | .vendor == "Firmware Inc." and .version == "1.2" and .build_date == "01/02/2026"'
  has '.inventory.boot.current_boot_mode == "bios"'
  has '.inventory.memory.physical_mb == 1536'
  has '.inventory.memory.total == '"$(awk '$1 == "MemTotal:" {print $2 * 1024}' /proc/meminfo)"
  has '.inventory.cpu | .count == 2 and .architecture == "x86_64" and (.frequency | type) == "string"'
  has '.inventory.disks | map(select(.serial == "SATA-A"))[0] | .model == "INGOT SATA DISK" and .wwn == "0x5000c500a1b2c3d4" and
    .rotational == true and .tran == "sata" and .vendor == "ATA" and .size == 6442450944 and (.hctl | type) == "string"'
  has '.inventory.disks | map(select(.serial == "NVME-B"))[0] | .rotational == false and .tran == "nvme" and
    .logical_sectors == 4096 and .hctl == null and .wwn != null'
  has '.root_disk.serial == "NVME-B"' # 4 GiB, and no smaller one has as much
  has '.logs | startswith("H4sI")'
  # The table of the firmware says the same as the kernel's entries of it.
  modprobe dmi_sysfs
  echo '{"collectors": ["default"]}' | /tmp/inspect_node | jq -e '.body.inventory.memory.physical_mb == 1536'
  # Without the BMC's device.
  rmmod ipmi_devintf
  echo '{"collectors": ["default"]}' | /tmp/inspect_node | jq .body >/tmp/body.json
  has '.inventory.bmc_address == null and .inventory.bmc_v6address == null and (.inventory | has("bmc_mac") | not)'
}
