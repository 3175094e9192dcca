#!/bin/bash
# The dracut module that ingot's RAM disk consists of (dracut.modules(7)). It is given with --modules and needs no other but
# those it names: the RAM disk never mounts a root file system and never switches to one, so nothing of dracut's own hooks is
# in it, and systemd starts ingot.target.

# shellcheck disable=SC2154  # moddir, initdir and systemd's folders are dracut's variables
check() {
  return 255 # only where it is asked for
}

depends() {
  echo systemd udev-rules dash
}

installkernel() {
  local names
  mapfile -t names < <(sed 's/#.*//' "$moddir/drivers" | tr -s ' ' '\n' | sed '/^$/d')
  hostonly='' instmods "${names[@]}"
  # File systems of images and of virtual media; what may lie on a disk that is to be erased or refused; networks.
  hostonly='' instmods vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859_1 ext4 xfs btrfs isofs udf efivarfs loop \
    md_mod dm_mod 8021q bonding ipmi_si ipmi_devintf ipmi_ssif dmi_sysfs \
    crc32c_generic crc32c_intel
}

install() {
  local unit file

  inst_multiple ingot qemu-img efibootmgr mdadm nvme hdparm kexec mkfs.fat mmd mcopy mdir mtype mdel busctl blkid lsblk dmesg ip mount umount udevadm \
    journalctl systemctl networkctl resolvectl timedatectl modprobe lsmod \
    cat ls ps sleep sync cp mv rm ln mkdir head tail grep sed df free env uname

  # Network: every NIC asks for addresses; ip=, vlan=, nameserver= on the kernel command line are systemd's to understand.
  inst_multiple "$systemdutildir"/systemd-networkd "$systemdutildir"/systemd-networkd-wait-online \
    "$systemdutildir"/systemd-network-generator "$systemdutildir"/systemd-resolved "$systemdutildir"/systemd-timesyncd \
    "$systemdutildir"/network/99-default.link
  for unit in systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service \
    systemd-network-generator.service systemd-resolved.service systemd-timesyncd.service time-set.target time-sync.target \
    network.target network-online.target network-pre.target; do
    inst_simple "$systemdsystemunitdir/$unit"
  done

  # ingot's own units, and what starts them.
  for unit in ingot.target ingot-agent.service ingot-provision.service; do inst_simple "$systemdsystemunitdir/$unit"; done
  inst_multiple -o /usr/lib/udev/hwdb.bin
  # mtools converts names between C.UTF-8 and FAT's code page.
  inst_multiple /usr/lib/locale/C.utf8/LC_CTYPE /usr/lib/x86_64-linux-gnu/gconv/{gconv-modules,IBM437.so,IBM850.so,UTF-16.so,UTF-32.so} \
    /usr/lib/x86_64-linux-gnu/gconv/gconv-modules.d/gconv-modules-extra.conf
  inst_simple /etc/ssl/certs/ca-certificates.crt
  inst_simple /etc/ssl/openssl.cnf
  inst_multiple /etc/protocols /etc/services
  (cd "$moddir/files" && find . -type f) | while read -r file; do
    inst_simple "$moddir/files/$file" "${file#.}"
    chmod 644 "$initdir/${file#.}"
  done
  ln -sfn /run/systemd/resolve/resolv.conf "$initdir/etc/resolv.conf"

  # Users of systemd's daemons, which sysusers would otherwise make at every boot.
  inst_multiple /usr/lib/sysusers.d/systemd-network.conf /usr/lib/sysusers.d/systemd-resolve.conf \
    /usr/lib/sysusers.d/systemd-timesync.conf /usr/lib/sysusers.d/systemd-journal.conf
  cp /etc/passwd "$initdir/etc/passwd"
  cp /etc/group "$initdir/etc/group"
  systemd-sysusers --root="$initdir"
  rm -f "$initdir"/etc/*- "$initdir"/etc/.pwd.lock

  for unit in systemd-networkd.service systemd-network-generator.service systemd-resolved.service systemd-timesyncd.service \
    systemd-networkd-wait-online.service; do # ingot.target wants its units itself
    systemctl --quiet --root="$initdir" enable "$unit" || dfatal "$unit cannot be enabled"
  done
  # systemd takes this root file system for an initramfs, which it is, and starts initrd.target.
  ln -sfn "$systemdsystemunitdir/ingot.target" "$initdir/etc/systemd/system/initrd.target"
  ln -sfn "$systemdsystemunitdir/ingot.target" "$initdir/etc/systemd/system/default.target"

  systemctl --quiet --root="$initdir" add-wants ingot.target ingot-no-order.service || dfatal "ingot-no-order.service cannot be enabled"
  if [ -e "$moddir/authorized_keys" ]; then
    inst_multiple dropbear stty
    inst_simple "$systemdsystemunitdir/ingot-ssh.service"
    systemctl --quiet --root="$initdir" add-wants ingot.target ingot-ssh.service || dfatal "ingot-ssh.service cannot be enabled"
    mkdir -p "$initdir/root/.ssh"
    cp "$moddir/authorized_keys" "$initdir/root/.ssh/authorized_keys"
    chmod 700 "$initdir/root" "$initdir/root/.ssh"
    chmod 600 "$initdir/root/.ssh/authorized_keys"
  fi

  # Generators look for file systems to mount: there are none.
  rm -f "$initdir$systemdutildir"/system-generators/systemd-{gpt-auto,fstab}-generator
  # A shell without a password is for who may write on the kernel command line: rd.systemd.debug_shell starts one.
  rm -rf "$initdir"/etc/systemd/system/getty.target.wants
}
