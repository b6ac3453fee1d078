# What the cases share. The server is at $ADDRESS:$PORT and its subsystem is $NQN. With DISK=virtio the device is a virtio disk instead, and with
# DISK=pci an NVMe drive on the guest's own bus.
ADDRESS=${ADDRESS:-10.0.2.2} PORT=${PORT:-4420} HOST=${HOST:-nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555}
say() { echo "   $*"; }
fail() { echo "   failed: $*"; exit 1; }

# connect [OPTION...]: leaves the name of the zoned device in $dev, that of the plain one, where there is one, in $plain.
# The kernel looks at namespaces in parallel: their numbers in /dev say nothing.
connect() {
    modprobe nvme-tcp
    nvme connect -t tcp -a "$ADDRESS" -s "$PORT" -n "$NQN" -q "$HOST" "$@" >/dev/null || return 1
    find_namespaces
}

# find_namespaces: $dev and $plain as for connect, once there are $NAMESPACES of them (2); where none is zoned, $dev is the plain one
find_namespaces() {
    local tries name
    for tries in $(seq 100); do
        dev= plain=
        for name in $(ls /dev | grep -E '^nvme[0-9]+n[0-9]+$'); do
            [ "$(cat /sys/block/$name/size)" != 0 ] || continue
            if [ "$(cat /sys/block/$name/queue/zoned)" = host-managed ]; then dev=$name; else plain=$name; fi
        done
        if [ "$(ls /dev | grep -cE '^nvme[0-9]+n[0-9]+$')" = "${NAMESPACES:-2}" ]; then
            [ -n "$dev" ] && return 0
            [ -n "${NO_ZONES:-}" ] && [ -n "$plain" ] && dev=$plain plain= && return 0
        fi
        sleep 0.1
    done
    echo "   the namespaces did not come: $(ls /dev | grep nvme | tr '\n' ' ')"
    return 1
}

# attach [OPTION...]: connects, or finds the disk; $dev and $plain as above, and $first is the number of the first sequential zone
attach() {
    case ${DISK:-nvme} in
        nvme) connect "$@" || return 1 ;;
        pci) modprobe nvme && find_namespaces || return 1 ;;
        *) virtio_disk || return 1 ;;
    esac
    zone=$(cat /sys/block/$dev/queue/chunk_sectors) first=0
    [ "$(cat /sys/block/$dev/queue/zoned)" = none ] && return 0
    first=$(blkzone report /dev/$dev | sed -nE 's/.*start: 0x0*([0-9a-f]+),.*SEQ_WRITE_REQUIRED.*/\1/p' | head -1)
    first=$((0x$first / zone))
}

virtio_disk() {
    modprobe virtio_blk || return 1
    local tries
    plain=
    for tries in $(seq 100); do
        [ "$(cat /sys/block/vda/size 2>/dev/null || echo 0)" != 0 ] && dev=vda && return 0
        sleep 0.1
    done
    echo "   no virtio disk came"
    return 1
}

# pointer ZONE: how many blocks of 64 KiB the zone holds. While the server is away, a report fails too.
pointer() {
    local at
    until at=$(blkzone report -o $(($1 * zone)) -c 1 /dev/$dev 2>/tmp/log | sed -nE 's/.*wptr (0x[0-9a-f]+).*/\1/p') && [ -n "$at" ]; do sleep 0.5; done
    echo $((at / 128))
}

# write_by_pointer ZONE BLOCKS PAUSE: writes as zoned software must when its server comes and goes: a write that the drive had already taken is
# refused when it is sent again, on any drive. So it asks for the pointer and goes on from there. /tmp/data has what is written.
write_by_pointer() {
    local at retries=0 end=$((SECONDS + 90))
    dd if=/dev/urandom of=/tmp/data bs=64k count=$2 2>/dev/null
    while at=$(pointer $1); [ "$at" -lt $2 ]; do
        dd if=/tmp/data of=/dev/$dev bs=64k skip=$at seek=$(($1 * zone / 128 + at)) count=1 oflag=direct conv=notrunc 2>/tmp/log \
            || retries=$((retries + 1))
        [ $SECONDS -lt $end ] || fail "it takes too long"
        sleep $3
    done
    say "$retries writes were refused and done again"
    compare_zone $1 $2
}

# compare_zone ZONE BLOCKS: the zone holds /tmp/data
compare_zone() {
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/$dev of=/tmp/back bs=64k skip=$(($1 * zone / 128)) count=$2 iflag=direct 2>/dev/null
    cmp /tmp/data /tmp/back || fail "what was written to zone $1 does not read back"
}
