#!/bin/sh
# The metadata server of a cloud: answers one HTTP request on standard input, as QEMU's guestfwd runs it.
#   metadata.sh ec2    instance metadata service, version 2: nothing without a token
#   metadata.sh gce    nothing without its header field
# The machine is node-1 of the profile 1cp-2workers.
cloud=$1
return=$(printf '\r')

read -r method path _
token= flavor=
while read -r name value; do
  value=${value%"$return"}
  case $name in
    "$return" | '') break ;;
    X-aws-ec2-metadata-token:) token=$value ;;
    X-aws-ec2-metadata-token-ttl-seconds:) seconds=$value ;;
    metadata-flavor:) flavor=$value ;;
  esac
done

answer() {
  printf 'HTTP/1.1 %s\r\nContent-Length: %s\r\nMetadata-Flavor: Google\r\n\r\n%s' "$1" "${#2}" "$2"
  exit
}

if [ "$cloud" = gce ]; then
  [ "$flavor" = Google ] || answer '403 Forbidden' ''
  case $path in
    '/computeMetadata/v1/instance/?recursive=true')
      answer '200 OK' '{"id": 4711, "hostname": "node-1.c.project.internal", "attributes": {},
        "networkInterfaces": [{"ip": "192.168.122.12"}]}' ;;
    *) answer '404 Not Found' '' ;;
  esac
fi

if [ "$method $path" = 'PUT /latest/api/token' ]; then
  [ -n "$seconds" ] || answer '400 Bad Request' ''
  answer '200 OK' 'SECRET=='
fi
[ "$token" = SECRET== ] || answer '401 Unauthorized' ''
case $path in
  /latest/meta-data/instance-id) answer '200 OK' i-0123 ;;
  /latest/meta-data/local-hostname) answer '200 OK' node-1.eu-west-1.compute.internal ;;
  /latest/meta-data/local-ipv4) answer '200 OK' 192.168.122.12 ;;
  *) answer '404 Not Found' '' ;;
esac
