#!/bin/sh
# multipass as far as builder calls it: notes the call, and keeps each instance's state in a file. What it prints has the
# form of its source, src/client/cli/formatter/json_formatter.cpp.
cd "$FAKE" && mkdir -p instances
echo "multipass $*" >>calls
verb=$1
for last; do :; done
case $verb in
list)
    printf '{\n    "list": ['
    comma=
    for file in instances/*; do
        [ -e "$file" ] || continue
        name=${file#instances/}
        address=
        [ "$(cat "$file")" = Running ] && address="\"10.7.7.${#name}\", \"10.9.8.10\""
        printf '%s\n        {"ipv4": [%s], "name": "%s", "release": "Not Available", "state": "%s",' \
            "$comma" "$address" "$name" "$(cat "$file")"
        printf ' "zone": {"available": true, "name": "zone1"}}'
        comma=,
    done
    printf '\n    ]\n}\n'
    ;;
launch)
    while [ "$1" != --name ]; do shift; done
    cat >"user-data.$2"
    echo Running >"instances/$2"
    if [ -e slow ]; then
        echo "launch failed: timed out waiting for initialization to complete" >&2
        exit 2
    fi
    ;;
start) echo Running >"instances/$last" ;;
stop) [ -e stubborn ] && [ "$2" != --force ] || echo Stopped >"instances/$last" ;;
delete) rm "instances/$last" ;;
*) exit 2 ;;
esac
