#!/usr/bin/env bash
# Installs the servers that tests of remotes run against: Debian packages (as root) and npm programs (below
# KIST_TEST_TOOLS, or ~/.cache/kist-test-tools). Repeats nothing that is there. Without root or apt-get the packages
# are left out, and the tests that want them say so.
set -euo pipefail

tools="${KIST_TEST_TOOLS:-$HOME/.cache/kist-test-tools}"
PATH="$PATH:/usr/sbin:/sbin:$tools/node_modules/.bin"

debian=()
npm=()
# want KIND PROGRAM PACKAGE...: the packages to install where the program is missing.
want() {
    local -n list="$1"
    command -v "$2" >/dev/null || list+=("${@:3}")
}

# One line a server or file system.
want debian cc gcc libc6-dev python3-dev
want debian mkfs.xfs xfsprogs
want debian mkfs.ext4 e2fsprogs
want debian mkfs.btrfs btrfs-progs
want debian strace strace
want debian radosgw ceph-mon ceph-osd radosgw
want debian sshd openssh-server openssh-client
want npm azurite-blob azurite@3

if ((${#debian[@]})); then
    if [[ "$(id -u)" != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "not installed, for that needs root and apt-get: ${debian[*]}" >&2
    else
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${debian[@]}" >/dev/null
    fi
fi
if ((${#npm[@]})); then
    if command -v npm >/dev/null; then
        mkdir -p "$tools"
        npm install --loglevel=error --no-fund --no-audit --prefix "$tools" "${npm[@]}" >/dev/null
    else
        echo "not installed, for that needs npm: ${npm[*]}" >&2
    fi
fi
