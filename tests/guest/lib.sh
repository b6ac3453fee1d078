# shellcheck shell=bash
# What the host-side scripts of this folder share: where things are, and how to say what went wrong.
guest_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_dir=$(cd "$guest_dir/../.." && pwd)
cache=${PADDOCK_GUEST_CACHE:-$root_dir/artifacts/guest}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
tools=$cache/tools         # the unpacked packages: a small Debian that is never entered
# the unpacked linux-image: Linux 6.12, or another one by PADDOCK_GUEST_KERNEL
kernel=${PADDOCK_GUEST_KERNEL:-6.12}
case $kernel in 6.12) kernel_dir=$cache/kernel ;; *) kernel_dir=$cache/kernel-$kernel ;; esac
fio_source=$cache/fio      # fio's source package: only t/zbd of it is used
nvme_source=$cache/nvme    # nvme-cli's source package: only its tests are used
qemu11=$cache/qemu11       # QEMU 11, unpacked by `fetch --qemu11`
boot_tools=$cache/boot     # GRUB and UEFI firmware, unpacked by `fetch --boot`

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

# in_qemu11 ARGUMENT...: becomes or runs the unpacked qemu-system-x86_64, with its own loader, libraries and firmware
qemu11_command() {
    printf '%s\n' "$qemu11/usr/lib64/ld-linux-x86-64.so.2" --library-path "$qemu11/usr/lib/x86_64-linux-gnu" "$qemu11/usr/bin/qemu-system-x86_64"
}
in_qemu11() {
    local command
    mapfile -t command < <(qemu11_command)
    "${command[@]}" "$@"
}

# depmod ARGUMENT...: kmod looks at the name that it was called by
depmod() {
    "$tools/usr/lib64/ld-linux-x86-64.so.2" --argv0 depmod --library-path "$tools/usr/lib/x86_64-linux-gnu" "$tools/usr/bin/kmod" "$@"
}

# in_own_network SCRIPT ARGUMENT...: restarts the script in a network namespace of its own, where a guest on a TAP device is about three times
# as fast as on QEMU's user network. Root, or a kernel that lets users make namespaces, is needed: elsewhere the user network has to do.
# It leaves in $listen the address where a server must listen for a guest to reach it at 10.0.2.2. PADDOCK_GUEST_NET=user|tap chooses.
in_own_network() {
    local way
    if [ -z "${PADDOCK_GUEST_NET:-}" ]; then
        # in there is no way out to a mirror
        "$guest_dir/fetch"
        export PADDOCK_GUEST_FETCHED=1
        for way in "unshare --net" "unshare --user --map-root-user --net"; do
            if $way bash -c '. "$1"; make_network' - "$guest_dir/lib.sh" >/dev/null 2>&1; then
                PADDOCK_GUEST_NET=tap exec $way "$@"
            fi
        done
        PADDOCK_GUEST_NET=user
    fi
    export PADDOCK_GUEST_NET
    listen=127.0.0.1
    [ "$PADDOCK_GUEST_NET" = tap ] || return 0
    listen=10.0.2.2
    make_network || die "no network of its own can be made here: try PADDOCK_GUEST_NET=user"
}

# a bridge with the address that the guest knows, and a TAP device for each of two guests
make_network() {
    [ ! -e /sys/class/net/br0 ] || return 0
    ip link set lo up && ip link add br0 type bridge && ip addr add 10.0.2.2/24 dev br0 && ip link set br0 up || return 1
    local number
    for number in 0 1; do
        ip tuntap add dev "tap$number" mode tap && ip link set "tap$number" master br0 up || return 1
    done
}

# our executable: $PADDOCK where it is named, else the native one where it is built
find_paddock() {
    paddock=${PADDOCK:-$root_dir/artifacts/aot/paddock}
    [ -x "$paddock" ] || paddock=$root_dir/paddock
}

# wait_for_port HOST PORT: until somebody listens there, ten seconds at most
wait_for_port() {
    local tries
    for tries in $(seq 100); do
        (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

# monitor SOCKET COMMAND: one command for QEMU's monitor
monitor() {
    python3 - "$@" <<'END'
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(10)
def prompt():
    got = b""
    while not got.endswith(b"(qemu) "):
        more = s.recv(4096)
        if not more: break
        got += more
    return got
prompt()
s.sendall(sys.argv[2].encode() + b"\n")
sys.stdout.write(prompt().decode(errors="replace"))
END
}
