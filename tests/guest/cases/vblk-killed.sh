# The back end of a disk is killed in mid-write and started again: QEMU (or, for a zoned disk, what holds its connection) waits for it and hands out
# again what had no answer. No request may fail, and what was written reads back. A flush follows each write: an answer without one promises nothing to
# a guest whose back end is killed. A zoned disk is written in four zones at once: a write that was done before the kill and had no answer must not be
# done twice, since the zone's pointer has gone on.
. /cases/common.sh
attach || fail attach
dd if=/dev/urandom of=/tmp/data bs=64k count=128 2>/dev/null

# write ZONE BLOCKS STEP PAUSE: from the zone's first block on, some blocks at a time
write() {
    local at
    for at in $(seq 0 $3 $(($2 - 1))); do
        dd if=/tmp/data of=/dev/$dev bs=64k skip=$at seek=$(($1 * zone / 128 + at)) count=$3 oflag=direct,dsync conv=notrunc 2>/tmp/log$1 \
            || { cat /tmp/log$1; fail "write $at of zone $1"; }
        sleep $4
    done
}

if [ "$(cat /sys/block/$dev/queue/zoned)" = none ]; then
    echo "WRITING"
    zone=0
    write 0 128 1 0.05
    compare_zone 0 128
    exit 0
fi
blkzone reset "/dev/$dev" || fail reset
echo "WRITING"
jobs=
for number in 0 1 2 3; do
    write $((first + number)) 40 5 0.3 &
    jobs="$jobs $!"
done
for job in $jobs; do wait $job || fail "a write failed"; done
truncate -s $((40 * 65536)) /tmp/data
for number in 0 1 2 3; do
    [ "$(pointer $((first + number)))" = 40 ] || fail "the pointer of zone $number stands at $(pointer $((first + number)))"
    compare_zone $((first + number)) 40
done
