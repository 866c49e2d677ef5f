#!/bin/sh
# A libvirt of its own in the namespaces that the test made: nothing of it is left afterwards.
#   libvirt.sh COMMAND...    runs a command beside it
set -o errexit -o nounset
for folder in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p "$folder"
  mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
mkdir -p /run/lock /run/libvirt /var/lib/libvirt/images /var/lib/libvirt/dnsmasq
# Its own user could not read what the test's user writes below /root.
printf 'user = "root"\ngroup = "root"\n' >/etc/libvirt/qemu.conf
ip link set lo up
# A host may have a KVM that runs no kernel, and printed commands take what libvirt says that there is.
[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
virtlogd --daemon
libvirtd --daemon
tries=150
until virsh --connect qemu:///system version >/dev/null 2>&1; do
  tries=$((tries - 1))
  if [ $tries = 0 ]; then
    echo "libvirtd does not answer:" >&2
    tail -n 20 /var/log/libvirt/libvirtd.log >&2
    exit 1
  fi
  sleep 0.2
done
"$@"
