# Btrfs writes data by zone append: the kernel's own trace of its commands has counted them, and what they wrote is there after a remount
. /cases/filesystem.sh
attach || fail attach
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
trace=/sys/kernel/tracing
# 7Dh is Zone Append
echo 'opcode==125' >$trace/events/nvme/nvme_setup_cmd/filter && echo 1 >$trace/events/nvme/nvme_setup_cmd/enable || fail "no trace"
modprobe btrfs
blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle ${MEGABYTES:-40} btrfs ""
umount /mnt/t
echo 0 >$trace/events/nvme/nvme_setup_cmd/enable
count=$(grep -c nvme_cmd_zone_append $trace/trace)
say "$count appends of at most $(cat /sys/block/$dev/queue/zone_append_max_bytes) bytes"
# a quarter of the data is removed before it is written
[ "$count" -ge $((${MEGABYTES:-40} * 3 / 4 * 1024 * 1024 / $(cat /sys/block/$dev/queue/zone_append_max_bytes))) ] || fail "too few appends"
