#!/bin/sh
# virsh as far as builder calls it: notes the call, and keeps in files what is defined and what is active.
cd "$FAKE" && mkdir -p net pool vol domain
echo "virsh $*" >>calls
[ "$1 $2 $3" = "--connect qemu:///system --quiet" ] || exit 1
shift 3
verb=$1 all=$2
list() { for file in "$1"/*; do [ -e "$file" ] && { [ "$all" = --all ] || grep -q active "$file"; } && basename "$file"; done; true; }
case $verb in
list) list domain ;;
net-list) list net ;;
pool-list) list pool ;;
net-define) name=$(sed -n 's/.*<name>\(.*\)<.*/\1/p' "$2"); : >"net/$name" ;;
net-start)
    if [ -e clash ]; then
        echo "error: internal error: Network is already in use by interface virbr0" >&2
        exit 1
    fi
    echo active >"net/$2"
    ;;
pool-start) echo active >"pool/$2" ;;
net-destroy) : >"net/$2" ;;
pool-destroy) : >"pool/$2" ;;
net-undefine) rm "net/$2" ;;
pool-undefine) rm "pool/$2" ;;
pool-define-as) : >"pool/$2" ;;
pool-build | pool-delete | pool-refresh) [ -e "pool/$2" ] ;;
vol-list) ls vol | sed 's|$|  /pool/x|' ;;
vol-create-as) [ ! -e "vol/$3" ] && : >"vol/$3" ;;
vol-upload) cat "$3" >"vol/$2" ;;
vol-delete) rm "vol/$2" ;;
shutdown | destroy) [ "$verb" = shutdown ] && [ -e stubborn ] || : >"domain/$2" ;;
undefine) rm "domain/$2" ;;
domcapabilities)
    echo "error: invalid argument: KVM is not supported by '/usr/bin/qemu-system-x86_64' on this host" >&2
    exit 1
    ;;
version) echo "Running hypervisor: QEMU 7.2.22" ;;
*) exit 1 ;;
esac
