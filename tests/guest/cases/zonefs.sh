# zonefs: a file for each zone
. /cases/common.sh
attach || fail attach
modprobe zonefs
blkzone reset "/dev/$dev"
mkzonefs -f "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkzonefs; }
mkdir -p /mnt/t
mount -t zonefs "/dev/$dev" /mnt/t || fail mount
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
dd if=/tmp/data of=/mnt/t/seq/0 bs=256k oflag=direct conv=notrunc 2>/dev/null || fail write
umount /mnt/t; mount -t zonefs "/dev/$dev" /mnt/t || fail "mount again"
[ "$(stat -c %s /mnt/t/seq/0)" = $((4 << 20)) ] || fail "the file has $(stat -c %s /mnt/t/seq/0) bytes"
cmp /tmp/data /mnt/t/seq/0 || fail "the file changed"
umount /mnt/t
