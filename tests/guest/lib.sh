# shellcheck shell=bash
# What the host-side scripts of this folder share: where things are, and how to say what went wrong.
guest_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_dir=$(cd "$guest_dir/../.." && pwd)
cache=${PADDOCK_GUEST_CACHE:-$root_dir/artifacts/guest}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
tools=$cache/tools         # the unpacked packages: a small Debian that is never entered
kernel_dir=$cache/kernel   # the unpacked linux-image
fio_source=$cache/fio      # fio's source package: only t/zbd of it is used

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 2
}

# the newest kernel of the unpacked image, such as 6.12.95+deb12-amd64
kernel_version() {
    local file
    for file in "$kernel_dir"/boot/vmlinuz-*; do
        [ -e "$file" ] && printf '%s\n' "${file##*/vmlinuz-}"
    done | sort -V | tail -1
}

# in_tools PROGRAM ARGUMENT...: runs a program of the unpacked packages here, with their loader and libraries
# (this machine's libraries are often older)
in_tools() {
    local program=$1
    shift
    "$tools/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tools/usr/lib/x86_64-linux-gnu" "$tools/$program" "$@"
}

# depmod ARGUMENT...: kmod looks at the name that it was called by
depmod() {
    "$tools/usr/lib64/ld-linux-x86-64.so.2" --argv0 depmod --library-path "$tools/usr/lib/x86_64-linux-gnu" "$tools/usr/bin/kmod" "$@"
}
