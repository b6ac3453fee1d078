# plain, and with each kind of digest: connect, read, write, read back
. /cases/common.sh
for options in "" "-g" "-G" "-g -G"; do
    connect $options || fail "connect $options"
    [ "$(cat /sys/block/$dev/queue/zoned)" = host-managed ] || fail "$dev is $(cat /sys/block/$dev/queue/zoned)"
    blkzone reset "/dev/$dev" || fail "reset"
    dd if=/dev/urandom of=/tmp/data bs=1M count=2 2>/dev/null
    dd if=/tmp/data of="/dev/$dev" bs=256k oflag=direct conv=notrunc 2>/dev/null || fail "write with '$options'"
    dd if="/dev/$dev" of=/tmp/back bs=128k count=16 iflag=direct 2>/dev/null || fail "read with '$options'"
    cmp /tmp/data /tmp/back || fail "what was written with '$options' does not read back"
    nvme disconnect -n "$NQN" >/dev/null || fail disconnect
done
