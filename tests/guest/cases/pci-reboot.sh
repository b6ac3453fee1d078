# The guest restarts itself, is reset by the machine in mid-write, and is powered off and on: the drive is there each time, and what was written stays.
# The first block of the plain namespace says how often the guest has started.
. /cases/common.sh
attach || fail attach
content() { yes "zone $1, written before start $2" | head -c 1048576; }
boots=$(dd if="/dev/$plain" bs=4096 count=1 iflag=direct 2>/dev/null | tr -d '\0' | sed -nE 's/^STARTS ([0-9]+)$/\1/p')
boots=${boots:-0}
say "start $boots"
[ $boots -gt 0 ] || blkzone reset "/dev/$dev" || fail reset
for number in $(seq $boots); do
    content $((first + number)) $number >/tmp/data
    compare_zone $((first + number)) 16
    [ "$(pointer $((first + number)))" = 16 ] || fail "the pointer of zone $((first + number)) stands at $(pointer $((first + number)))"
done
[ $boots != 3 ] || { dd if=/dev/zero of="/dev/$plain" bs=4096 count=1 oflag=direct conv=notrunc 2>/dev/null; exit 0; }
next=$((boots + 1))
content $((first + next)) $next >/tmp/data
dd if=/tmp/data of="/dev/$dev" bs=64k seek=$(((first + next) * zone / 128)) oflag=direct conv=notrunc,fsync 2>/tmp/log || fail write
printf 'STARTS %d\n' $next >/tmp/mark
dd if=/tmp/mark of="/dev/$plain" bs=4096 count=1 oflag=direct conv=sync,notrunc,fsync 2>/tmp/log || fail mark
case $boots in
    0) reboot -f ;;
    1)
        # the host resets the machine while this writes
        fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=4k --iodepth=32 --offset=$((first + 20))z --size=4z \
            --time_based --runtime=60 >/tmp/fio 2>&1 &
        sleep 1
        echo "WRITING"
        sleep 60
        fail "no reset came"
        ;;
    # the power is switched off
    2) exit 0 ;;
esac
sleep 60
fail "the guest goes on"
