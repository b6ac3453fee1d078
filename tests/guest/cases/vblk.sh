# What the cases of virtio disks share: leaves the disk's name in $dev.
. /cases/common.sh
virtio_disk() {
    modprobe virtio_blk || return 1
    local tries
    for tries in $(seq 100); do
        [ "$(cat /sys/block/vda/size 2>/dev/null || echo 0)" != 0 ] && dev=vda && return 0
        sleep 0.1
    done
    echo "   no virtio disk came"
    return 1
}
