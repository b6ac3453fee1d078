# The drive's power is cut in mid-write: what was not flushed is gone, and the host stays. f2fs is remounted, and every file whose fsync was
# over before the cut is there, byte for byte.
. /cases/filesystem.sh
connect -l 120 -c 1 || fail connect
zoned=/dev/$dev dev=$plain
modprobe f2fs
blkzone reset "$zoned"
mkfs.f2fs -f -m -c "$zoned" "/dev/$dev" >/tmp/log 2>&1 || fail mkfs
cycle 8 f2fs ""
sync
lost() { dmesg | grep -qE 'error recovery|Reconnecting|failed to (send|receive)'; }
: >/tmp/synced
# a host that loses its connection cannot know what the drive still has: files count up to there
for i in $(seq 400); do
    dd if=/dev/urandom of=/mnt/t/late$i bs=64k count=4 2>/dev/null || break
    dd if=/dev/urandom of=/mnt/t/fsynced$i bs=64k count=4 conv=fsync 2>/dev/null || break
    lost && break
    sha256sum /mnt/t/fsynced$i >>/tmp/synced
    # the power goes a second later: by then a slow guest too has something to lose
    [ $i != 3 ] || echo "WRITING"
done
lost || fail "the power was not cut"
say "$(wc -l </tmp/synced) files were synced before the cut"
[ -s /tmp/synced ] || fail "no file was synced"
for tries in $(seq 60); do dmesg | grep -q 'Successfully reconnected' && break; sleep 1; done
umount /mnt/t 2>/dev/null || umount -l /mnt/t
for tries in $(seq 60); do mount -t f2fs "/dev/$dev" /mnt/t 2>/tmp/log && break; sleep 1; done
sha256sum -c /tmp/synced >/tmp/log 2>&1 || fail "what was synced is gone"
(cd /mnt/t && sha256sum -c /tmp/sums >/tmp/log 2>&1) || fail "what was there before is gone"
umount /mnt/t || fail umount
fsck.f2fs "/dev/$dev" >/tmp/log 2>&1 || fail fsck
