# Fills a zoned Btrfs until QEMU is killed; vblk-after looks at what is left.
. /cases/filesystem.sh
attach || fail attach
modprobe btrfs
blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle 8 btrfs ""
cp /tmp/sums /mnt/t/sums
sync
echo "WRITING"
for i in $(seq 60); do dd if=/dev/urandom of=/mnt/t/late$i bs=1M count=2 2>/dev/null; sync; done
fail "QEMU was not killed"
