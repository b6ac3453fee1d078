# f2fs: zoned, with the second namespace, a plain one, for its metadata
. /cases/filesystem.sh
connect || fail connect
zoned=/dev/$dev
dev=$plain
[ -n "$dev" ] || fail "there is no plain namespace"
modprobe f2fs
blkzone reset "$zoned"
mkfs.f2fs -f -m -c "$zoned" "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail mkfs; }
cycle ${MEGABYTES:-40} f2fs ""
umount /mnt/t
fsck.f2fs "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail fsck; }
