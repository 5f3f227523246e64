#!/bin/bash
# Installs the packages that Spar needs, on Debian and Ubuntu; elsewhere it names them and stops.
#   tools/deps.sh [--check] [build] [test] [long] [demo]      (without a group: build test demo)
# --check installs nothing: it fails when something is missing and says what to do.
set -u

build="gcc libc6-dev make pkg-config python3-minimal libjansson-dev libpcre2-dev libutf8proc-dev
       libzstd-dev zlib1g-dev libxxhash-dev libsqlite3-dev libcairo2-dev libedit-dev libdnnl-dev"
test="libcmocka-dev python3 man-db"
long="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
demo="bible-kjv bible-kjv-text python3"

check=
groups=
for word in "$@"; do
    case $word in
    --check) check=1 ;;
    build | test | long | demo) groups="$groups $word" ;;
    *) echo "deps.sh: unknown word '$word'; expected --check, build, test, long, demo" >&2; exit 2 ;;
    esac
done
packages=
for group in ${groups:-build test demo}; do packages="$packages ${!group}"; done
[ "${BLAS:-onednn}" = onednn ] || packages="${packages/libdnnl-dev/libopenblas-dev}"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    # No list to compare with: only the check of `make` goes on, as the compiler will tell.
    [ -z "$check" ] || exit 0
    echo "This is not Debian or Ubuntu. Install what these Debian packages hold, then run make:" >&2
    echo $packages | fold -s -w 90 | sed 's/^/  /' >&2
    exit 1
fi

missing=$(printf '%s\n' $packages | sort -u | grep -vxFf <(
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p'))
[ -n "$missing" ] || exit 0

echo "Missing packages:" >&2
echo $missing | fold -s -w 90 | sed 's/^/  /' >&2
if [ -n "$check" ]; then
    echo "Install them with: make deps" >&2
    exit 1
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "Install them as root (there is no sudo here)." >&2; exit 1; }
    as_root=sudo
fi
install() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends $missing >&2
}
# Lists of packages that are absent or old make the first try fail.
if ! apt-cache show $missing >/dev/null 2>&1 || ! install; then
    $as_root apt-get update -q >&2 && install || { echo "apt-get could not install them." >&2; exit 1; }
fi
