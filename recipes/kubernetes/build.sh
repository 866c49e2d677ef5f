#!/bin/bash
# Compiles Kubernetes 1.20.2 and its pause program from Debian's source package.
#
# Runs in a sandbox without a network: / is the unpacked toolchain (no maintainer script has run), /src holds the
# original tarball with debian/ on top, results go to /out. Everything is linked statically.
set -o errexit -o nounset -o pipefail
umask 022

outputs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# Debian's alternatives (awk, sh, cc) are links that maintainer scripts make.
links="$PWD/.kiln/bin"
mkdir -p "$links"
ln -sf /usr/bin/mawk "$links/awk"
export PATH="$links:/usr/lib/go-1.19/bin:/usr/bin:/bin"

# The security fixes that Debian carries (CVE-2021-25743: kubectl printing terminal sequences).
for name in $(grep -v -e '^#' -e '^$' debian/patches/series); do
  patch --batch --forward --strip=1 --no-backup-if-mismatch <"debian/patches/$name"
done

# This release only builds inside a GOPATH; a link is enough of one.
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
export GOPATH="$PWD/.go" GOFLAGS=-buildvcs=false
export CGO_ENABLED=0

# Without a version the kubelet registers as v0.0.0-master. The commit is the one that upstream tagged v1.20.2; the build
# date comes from SOURCE_DATE_EPOCH.
make \
  WHAT="${outputs[*]/#/cmd/}" \
  GOLDFLAGS='-s -w' \
  KUBE_GIT_VERSION=v1.20.2 \
  KUBE_GIT_COMMIT=faecb196815e248d3ecfb03c680a4507229c2a56 \
  KUBE_GIT_TREE_STATE=clean

for name in "${outputs[@]}"; do
  install -m 0755 "_output/bin/$name" "/out/$name"
done

gcc-12 -Os -Wall -Werror -static -s -Wl,--build-id=none -DVERSION=v3.4-v1.20.2 \
  -o /out/pause build/pause/linux/pause.c
chmod 0755 /out/pause
