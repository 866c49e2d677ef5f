#!/bin/sh
# A libvirt of its own in the namespaces that the test made: nothing of it is left afterwards.
#   libvirt.sh COMMAND...    runs a command beside it
set -o errexit -o nounset
for folder in /run /var/lib/libvirt /etc/libvirt/qemu /var/cache/libvirt; do
  mkdir -p "$folder"
  mount -t tmpfs -o mode=0755 tmpfs "$folder"
done
mkdir -p /run/lock /run/libvirt /var/lib/libvirt/images
ip link set lo up
virtlogd --daemon
libvirtd --daemon
until virsh --connect qemu:///system version >/dev/null 2>&1; do sleep 0.2; done
"$@"
