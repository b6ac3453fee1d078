# The back end of a zoned disk is killed under a Btrfs that is being written, and started again: what was synced before is there after a remount, and the
# file system is sound. What no flush followed may be gone with the back end: Btrfs finds out when its next write meets another pointer, and takes no more.
. /cases/filesystem.sh
attach || fail attach
modprobe btrfs
blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle 8 btrfs ""
echo "WRITING"
end=$((SECONDS + 8)) i=0
while [ $SECONDS -lt $end ]; do
    dd if=/dev/urandom of=/mnt/t/late$i bs=1M count=2 2>/dev/null && sync -f /mnt/t/late$i 2>/dev/null || break
    i=$((i + 1))
done
say "$i files were written until the end or a failure"
umount /mnt/t || fail umount
mount -t btrfs "/dev/$dev" /mnt/t 2>/tmp/log || fail mount
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "what was synced is gone"
umount /mnt/t || fail umount
btrfs check "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail check; }
