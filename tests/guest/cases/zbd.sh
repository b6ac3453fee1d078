# fio's suite for zoned devices, on a namespace of the server (ZBD=nvme), on its drive on the guest's bus (ZBD=vfio), on a drive of QEMU's own
# (ZBD=control), or on a virtio disk (ZBD=virtio)
. /cases/common.sh
case $ZBD in
    nvme) NAMESPACES=1 connect || fail connect ;;
    control | vfio) DISK=pci NAMESPACES=1 attach || fail attach ;;
    virtio) virtio_disk || fail disk ;;
esac
[ "$(cat /sys/block/$dev/queue/zoned)" = host-managed ] || fail "$dev is not zoned"
blkzone reset "/dev/$dev" || fail reset
say "$dev: $(cat /sys/block/$dev/queue/nr_zones) zones, open $(cat /sys/block/$dev/queue/max_open_zones), active $(cat /sys/block/$dev/queue/max_active_zones)"
# what the kernel has to say would stand in the middle of the suite's lines
dmesg -n 1
suite=/fio/t/zbd/test-zbd-support
$suite -w $(for number in $ZBD_TESTS; do echo -t $number; done) "/dev/$dev" 2>&1
code=$?
for log in $suite.log.*; do
    printf 'ZBD %02d %s\n' "${log##*.}" "$(tail -1 $log)"
    [ "$(tail -1 $log)" = FAIL ] || continue
    echo "   --- test ${log##*.}"
    tail -${ZBD_TAIL:-25} $log
done
dmesg | grep -iE 'nvme|I/O error|virtio' | tail -15
# a test that fails here may fail on the drive of QEMU too: the host compares
[ $code -le 1 ]
