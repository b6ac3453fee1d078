# A new QEMU on the back end that an earlier one left in mid-write: what was synced is there, and the file system is sound.
. /cases/common.sh
attach || fail attach
modprobe btrfs
mkdir -p /mnt/t
mount -t btrfs "/dev/$dev" /mnt/t 2>/tmp/log || fail mount
(cd /mnt/t && sha256sum -c sums >/dev/null) || fail "what was synced is gone"
say "$(ls /mnt/t | grep -c late) files were written when QEMU was killed"
btrfs scrub start -B /mnt/t >/tmp/log 2>&1 || { cat /tmp/log; fail scrub; }
umount /mnt/t
btrfs check "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail check; }
