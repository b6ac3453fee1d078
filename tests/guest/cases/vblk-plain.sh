# a plain virtio disk: raw data, discard, write zeroes, ext4 and Btrfs over a remount
. /cases/filesystem.sh
attach || fail attach
d=/dev/$dev
[ "$(cat /sys/block/$dev/queue/zoned)" = none ] || fail "$dev is zoned"
[ -n "$(cat /sys/block/$dev/serial 2>/dev/null)" ] && say "serial $(cat /sys/block/$dev/serial)"
dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null
dd if=/tmp/data of=$d bs=256k oflag=direct conv=notrunc 2>/tmp/log || fail write
dd if=$d of=/tmp/back bs=128k count=64 iflag=direct 2>/tmp/log || fail read
cmp /tmp/data /tmp/back || fail "what was written does not read back"
if [ "$(cat /sys/block/$dev/queue/discard_max_bytes)" != 0 ]; then blkdiscard -o 1M -l 2M $d || fail discard; fi
blkdiscard -z -o 4M -l 1M $d || fail "write zeroes"
dd if=$d of=/tmp/back bs=1M skip=4 count=1 iflag=direct 2>/dev/null
dd if=/dev/zero of=/tmp/zero bs=1M count=1 2>/dev/null
cmp /tmp/zero /tmp/back || fail "zeroes do not read back"
for depth in 1 32; do
    fio --name=t --filename=$d --direct=1 --ioengine=io_uring --rw=randwrite --bs=4k --iodepth=$depth --size=32M --io_size=8M --verify=crc32c \
        --do_verify=1 --verify_fatal=1 --randseed=$depth --fsync=64 >/tmp/log 2>&1 || fail "fio at depth $depth"
done
modprobe btrfs; modprobe ext4
for kind in ext4 btrfs; do
    case $kind in
        ext4) command -v mkfs.ext4 >/dev/null || continue; mkfs.ext4 -q -F $d >/tmp/log 2>&1 ;;
        btrfs) mkfs.btrfs -q -f $d >/tmp/log 2>&1 ;;
    esac || fail "mkfs of $kind"
    cycle ${MEGABYTES:-40} $kind ""
    umount /mnt/t
    case $kind in
        ext4) fsck.ext4 -fn $d >/tmp/log 2>&1 ;;
        btrfs) btrfs check $d >/tmp/log 2>&1 ;;
    esac || fail "check of $kind"
done
