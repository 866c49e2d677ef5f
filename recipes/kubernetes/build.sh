#!/bin/bash
# Compiles Kubernetes 1.20.2 and its pause program from Debian's source package, everything linked statically.
#
# Runs in /kiln/src, which holds the original tarball with debian/ beside it, without a network. / is the unpacked
# toolchain: no maintainer script has run, so the links that Debian's alternatives make are missing. KILN_ARCH is the
# architecture that the programs are for; the compilers run on amd64.
set -o errexit -o nounset -o pipefail
umask 022

programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
# The tag of build/pause/Makefile in this source.
pause=v3.4-v1.20.2

cross=()
case $KILN_ARCH in
  amd64) cc=gcc-12 ;;
  arm64)
    cc=aarch64-linux-gnu-gcc-12
    # Compiled across, kubelet would want a C compiler, where natively CGO_ENABLED=0 below suffices.
    cross=(KUBE_BUILD_PLATFORMS=linux/arm64 KUBE_STATIC_OVERRIDES=kubelet)
    ;;
esac

mkdir -p .kiln/bin
ln -sfn /usr/bin/mawk .kiln/bin/awk
export PATH="$PWD/.kiln/bin:/usr/lib/go-1.19/bin:/usr/bin:/bin"

# Debian's fixes of CVE-2021-25743: kubectl printed terminal sequences.
for name in $(grep -v -e '^#' -e '^$' debian/patches/series); do
  patch --batch --forward --strip=1 --no-backup-if-mismatch <"debian/patches/$name"
done

# This release only builds inside a GOPATH; a link is enough of one.
mkdir -p .go/src/k8s.io
ln -sfn ../../.. .go/src/k8s.io/kubernetes
export GOPATH="$PWD/.go" GOFLAGS=-buildvcs=false CGO_ENABLED=0

# Without a version the kubelet registers as v0.0.0-master. The commit is the one that upstream tagged v1.20.2.
make "${cross[@]}" \
  WHAT="${programs[*]/#/cmd/}" \
  GOLDFLAGS='-s -w' \
  KUBE_GIT_VERSION=v1.20.2 \
  KUBE_GIT_COMMIT=faecb196815e248d3ecfb03c680a4507229c2a56

for name in "${programs[@]}"; do
  install -m 0755 "_output/local/bin/linux/$KILN_ARCH/$name" "/kiln/out/$name"
done

"$cc" -Os -Wall -Werror -static -s -Wl,--build-id=none -DVERSION="$pause" \
  -o /kiln/out/pause build/pause/linux/pause.c
chmod 0755 /kiln/out/pause
