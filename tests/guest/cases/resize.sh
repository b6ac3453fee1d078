# Disks change their size under Linux: it looks again by itself, what is new can be written, and what is gone is no longer asked for.
. /cases/common.sh
attach || fail attach
size() { cat /sys/block/$1/size; }
# becomes DISK SECTORS: within half a minute
becomes() {
    local tries
    for tries in $(seq 300); do [ "$(size $1)" = $2 ] && return; sleep 0.1; done
    fail "/dev/$1 has $(size $1) sectors, not $2"
}
before=$(size $dev)
[ -z "$plain" ] || plain_before=$(size $plain)
echo "WRITING"
# the host adds 32 MiB to the zoned disk and 64 MiB to the plain one; after 20 s it takes the zoned one's back, once they are empty
[ -z "$plain" ] || becomes $plain $((plain_before + 131072))
grown=$((before + ${ZONED_GROWS:-65536}))
becomes $dev $grown
say "$before sectors became $grown"
dd if=/dev/urandom of=/tmp/data bs=64k count=4 2>/dev/null
if [ "$(cat /sys/block/$dev/queue/zoned)" = none ]; then
    dd if=/tmp/data of=/dev/$dev bs=64k seek=$((grown / 128 - 4)) oflag=direct conv=notrunc 2>/tmp/log || { cat /tmp/log; fail "write to what is new"; }
    dd if=/dev/$dev of=/tmp/back bs=64k skip=$((grown / 128 - 4)) count=4 iflag=direct 2>/dev/null
    cmp /tmp/data /tmp/back || fail "what was written there does not read back"
    becomes $dev $before
    return 0 2>/dev/null || exit 0
fi
say "$(cat /sys/block/$dev/queue/nr_zones) zones"
[ "$(cat /sys/block/$dev/queue/nr_zones)" = $(((grown + zone - 1) / zone)) ] || fail "the number of zones is not that of the new size"
last=$((grown / zone - 1))
dd if=/tmp/data of=/dev/$dev bs=64k seek=$((last * zone / 128)) oflag=direct conv=notrunc 2>/tmp/log || { cat /tmp/log; fail "write to a new zone"; }
compare_zone $last 4
if [ -n "$plain" ]; then
    end=$(((plain_before + 131072) / 128 - 4))
    dd if=/tmp/data of=/dev/$plain bs=64k seek=$end oflag=direct conv=notrunc 2>/tmp/log || fail "write to the end of the plain disk"
    dd if=/dev/$plain of=/tmp/back bs=64k skip=$end count=4 iflag=direct 2>/dev/null
    cmp /tmp/data /tmp/back || fail "the plain disk's end does not read back"
fi
blkzone reset -o $((last * zone)) -c 1 /dev/$dev || fail reset
becomes $dev $before
[ "$(cat /sys/block/$dev/queue/nr_zones)" = $((before / zone)) ] || fail "the zones that are gone are still counted"
dd if=/dev/$dev of=/dev/null bs=64k skip=$((last * zone / 128)) count=1 iflag=direct 2>/dev/null && [ "$(dd if=/dev/$dev bs=64k skip=$((last * zone / 128)) count=1 iflag=direct 2>/dev/null | wc -c)" != 0 ] && fail "a zone that is gone was read"
dmesg | grep -iE 'capacity|nvme' | tail -4
