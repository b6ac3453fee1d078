# the server is killed in mid-write and started again: f2fs is remounted and checked, and what was synced is there
. /cases/filesystem.sh
connect -l 120 -c 1 || fail connect
zoned=/dev/$dev dev=$plain
modprobe f2fs
blkzone reset "$zoned"
mkfs.f2fs -f -m -c "$zoned" "/dev/$dev" >/tmp/log 2>&1 || fail mkfs
cycle 8 f2fs ""
sync
# a fast guest must still be writing when the server is killed a second later
lost() { dmesg | grep -qE 'error recovery|Reconnecting|failed to (send|receive)'; }
echo "WRITING"
for i in $(seq 400); do
    dd if=/dev/urandom of=/mnt/t/late$((i % 6)) bs=1M count=2 2>/dev/null
    sync
    lost && break
done
lost || fail "the server was not killed"
for tries in $(seq 60); do dmesg | grep -q 'Successfully reconnected' && break; sleep 1; done
umount /mnt/t
for tries in $(seq 60); do mount -t f2fs "/dev/$dev" /mnt/t 2>/tmp/log && break; sleep 1; done
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "what was synced is gone"
umount /mnt/t || fail umount
fsck.f2fs "/dev/$dev" >/tmp/log 2>&1 || fail fsck
