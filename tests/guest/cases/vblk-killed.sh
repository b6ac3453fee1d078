# The back end is killed in mid-write and started again: the disk waits, and nothing that was written is lost. On a plain disk no request may fail;
# on a zoned one a write that was taken and not answered is refused when QEMU hands it out again, as on any drive.
. /cases/common.sh
attach || fail attach
if [ "$(cat /sys/block/$dev/queue/zoned)" = none ]; then
    dd if=/dev/urandom of=/tmp/data bs=64k count=128 2>/dev/null
    echo "WRITING"
    for at in $(seq 0 127); do
        dd if=/tmp/data of=/dev/$dev bs=64k skip=$at seek=$at count=1 oflag=direct conv=notrunc 2>/tmp/log || fail "write $at"
        sleep 0.05
    done
    zone=0
    compare_zone 0 128
else
    blkzone reset "/dev/$dev"
    echo "WRITING"
    write_by_pointer $first 64 0.15
fi
