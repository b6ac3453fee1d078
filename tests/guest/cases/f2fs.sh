# f2fs: zoned, with the second namespace, a plain one, for its metadata; on a virtio disk with the conventional zones of the disk itself
. /cases/filesystem.sh
attach || fail attach
modprobe f2fs
blkzone reset "/dev/$dev"
if [ -n "$plain" ]; then
    zoned=/dev/$dev dev=$plain
    mkfs.f2fs -f -m -c "$zoned" "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail mkfs; }
else
    [ "$first" -gt 0 ] || fail "there is neither a plain namespace nor a conventional zone"
    mkfs.f2fs -f -m "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail mkfs; }
fi
cycle ${MEGABYTES:-40} f2fs ""
umount /mnt/t
fsck.f2fs "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail fsck; }
