# The drive's power is cut in mid-write: what was not flushed is gone. The guest resets the controller or finds the drive again; then f2fs is mounted and
# every file whose fsync was over before the cut is there, byte for byte.
. /cases/filesystem.sh
attach || fail attach
name=${dev%n?} bus=$(basename "$(readlink -f "/sys/class/nvme/${dev%n?}/device")")
zoned=/dev/$dev dev=$plain
modprobe f2fs
blkzone reset "$zoned"
mkfs.f2fs -f -m -c "$zoned" "/dev/$dev" >/tmp/log 2>&1 || fail mkfs
cycle 8 f2fs ""
sync
: >/tmp/synced
# a host whose drive fails cannot know what the drive still has: files count up to there
lost() { [ "$(cat /sys/class/nvme/$name/state 2>/dev/null)" != live ] || dmesg | grep -qE 'controller is down|I/O error|resetting controller|Disabling device'; }
for i in $(seq 400); do
    dd if=/dev/urandom of=/mnt/t/late$i bs=64k count=4 2>/dev/null || break
    dd if=/dev/urandom of=/mnt/t/fsynced$i bs=64k count=4 conv=fsync 2>/dev/null || break
    lost && break
    sha256sum /mnt/t/fsynced$i >>/tmp/synced
    [ $i != 3 ] || echo "WRITING"
done
say "$(wc -l </tmp/synced) files were synced before the cut; $(dmesg | grep -E 'nvme' | tail -1 | cut -c1-100)"
lost || fail "the power was not cut"
[ -s /tmp/synced ] || fail "no file was synced"
umount /mnt/t 2>/dev/null || umount -l /mnt/t
for tries in $(seq 60); do [ "$(cat /sys/class/nvme/$name/state 2>/dev/null)" = live ] && break; sleep 0.5; done
if [ "$(cat /sys/class/nvme/$name/state 2>/dev/null)" != live ]; then
    echo 1 >/sys/bus/pci/devices/$bus/remove
    sleep 1
    echo 1 >/sys/bus/pci/rescan
fi
find_namespaces || fail "the drive does not come back"
zoned=/dev/$dev dev=$plain
for tries in $(seq 60); do mount -t f2fs "/dev/$dev" /mnt/t 2>/tmp/log && break; sleep 1; done
sha256sum -c /tmp/synced >/tmp/log 2>&1 || fail "what was synced is gone"
(cd /mnt/t && sha256sum -c /tmp/sums >/tmp/log 2>&1) || fail "what was there before is gone"
umount /mnt/t || fail umount
fsck.f2fs "/dev/$dev" >/tmp/log 2>&1 || fail fsck
