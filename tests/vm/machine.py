"""The machine all checks run in: one disk of every kind, named by its serial number.

Checks that write choose disks nobody else does; the others only look.
"""
import os

import bmc
import rig


def make():
    machine = rig.Machine()
    add, drive = machine.device, machine.drive

    # NVMe: 512 and 4096 bytes a sector.
    drive("nvme-a", 5 * rig.GIB)
    add("nvme", "id=nvme-a", "serial=NVME-A")
    add("nvme-ns", "drive=nvme-a", "bus=nvme-a")
    drive("nvme-b", 4 * rig.GIB)
    add("nvme", "id=nvme-b", "serial=NVME-B")
    add("nvme-ns", "drive=nvme-b", "bus=nvme-b", "logical_block_size=4096", "physical_block_size=4096")

    # virtio, as in a cloud.
    drive("virtio-a", rig.GIB)
    add("virtio-blk-pci", "drive=virtio-a", "serial=VIRTIO-A")
    drive("virtio-b", rig.GIB)
    add("virtio-blk-pci", "drive=virtio-b", "serial=VIRTIO-B", "logical_block_size=4096", "physical_block_size=4096")
    drive("virtio-ro", 64 * rig.MIB, read_only="on")
    add("virtio-blk-pci", "drive=virtio-ro", "serial=VIRTIO-RO")
    drive("anonymous", 32 * rig.MIB)
    add("virtio-blk-pci", "drive=anonymous", "discard=off")  # without a serial number

    # SATA on the chip set's own controller.
    drive("sata-a", 6 * rig.GIB)
    add("ide-hd", "drive=sata-a", "bus=ide.0", "serial=SATA-A", "model=INGOT SATA DISK", "wwn=0x5000c500a1b2c3d4", "ver=1.25",
        "rotation_rate=7200")
    drive("sata-b", 64 * rig.MIB)
    add("ide-hd", "drive=sata-b", "bus=ide.1", "serial=SATA-B", "rotation_rate=1")
    drive("cd", 2 * rig.MIB, read_only="on")
    add("ide-cd", "drive=cd", "bus=ide.2", "serial=CD")

    # SCSI: what a RAID controller or a SAS disk shows.
    add("virtio-scsi-pci", "id=scsi0")
    drive("scsi-a", 7 * rig.GIB)
    add("scsi-hd", "bus=scsi0.0", "channel=0", "scsi-id=1", "lun=0", "drive=scsi-a", "serial=SCSI-A", "vendor=INGOT", "product=SCSI DISK A",
        "ver=2.50", "wwn=0x5000c500deadbee1", "rotation_rate=10000")
    drive("scsi-b", rig.GIB)
    add("scsi-hd", "bus=scsi0.0", "channel=0", "scsi-id=1", "lun=3", "drive=scsi-b", "serial=SCSI-B", "logical_block_size=4096",
        "physical_block_size=4096", "wwn=0x5000c500deadbee2", "rotation_rate=1")
    for index, name in enumerate(("guard-a", "guard-b"), 10):
        drive(name, 96 * rig.MIB)
        add("scsi-hd", "bus=scsi0.0", "channel=0", f"scsi-id={index}", "lun=0", f"drive={name}", f"serial={name.upper()}")

    # One disk that two controllers see.
    drive("two-paths", 96 * rig.MIB)
    add("virtio-scsi-pci", "id=scsi1")
    for index, bus in enumerate(("scsi0.0", "scsi1.0")):
        add("scsi-hd", f"bus={bus}", "channel=0", "scsi-id=20", "lun=0", "drive=two-paths", f"id=path{index}", "serial=TWO-PATHS",
            "wwn=0x5000c500deadbee3", "share-rw=on")

    # A USB stick and a memory card.
    add("qemu-xhci", "id=usb")
    drive("usb", 64 * rig.MIB)
    add("usb-storage", "bus=usb.0", "drive=usb", "serial=USB-STICK", "removable=on")
    drive("card", 64 * rig.MIB)
    add("sdhci-pci")
    add("sd-card", "drive=card")

    # A NIC on a cable that leads to nobody, a BMC, and firmware that says whose server it is.
    machine.devices += ["-netdev", "hubport,id=cable,hubid=1"]
    add("e1000e", "netdev=cable", "mac=52:54:00:12:34:56", "romfile=")
    path = os.path.join(machine.dir, "bmc")
    bmc.serve(path)
    machine.devices += ["-chardev", f"socket,id=bmc,path={path},reconnect=1"]
    add("ipmi-bmc-extern", "id=bmc0", "chardev=bmc")
    add("isa-ipmi-kcs", "bmc=bmc0")
    machine.devices += ["-smbios", "type=0,vendor=Firmware Inc.,version=1.2,date=01/02/2026",
                        "-smbios", "type=1,manufacturer=Ingot Works,product=Server X,serial=ABC-1"]
    return machine
