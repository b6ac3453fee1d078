# Btrfs on zones: mkfs, write, remount, verify, scrub, balance, check
. /cases/filesystem.sh
attach || fail attach
modprobe btrfs
blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle ${MEGABYTES:-40} btrfs ""
btrfs scrub start -B /mnt/t >/tmp/log 2>&1 || { cat /tmp/log; fail scrub; }
btrfs balance start --full-balance /mnt/t >/tmp/log 2>&1 || { cat /tmp/log; fail balance; }
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed by balance"
umount /mnt/t
btrfs check "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail check; }
