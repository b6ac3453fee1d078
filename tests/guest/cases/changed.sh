# The server makes zones read-only while Linux looks on: the kernel receives an asynchronous event for each, the changed zone list names the zone, and
# a write to it is refused. Linux asks for namespace events alone; nvme-cli turns on those of zones (feature 0Bh, bit 27).
. /cases/common.sh
attach || fail attach
d=/dev/$dev controller=/dev/${dev%n?}
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
trace=/sys/kernel/tracing
echo 1 >$trace/events/nvme/nvme_async_event/enable || fail "no trace"
nvme get-feature $controller -f 0x0b >/tmp/log || fail get-feature
wanted=$(sed -nE 's/.*value: ?(0x[0-9a-f]+).*/\1/p' /tmp/log)
nvme set-feature $controller -f 0x0b --value=$((wanted | 1 << 27)) >/tmp/log || fail set-feature
blkzone reset $d || fail reset
nvme zns changed-zone-list $d >/tmp/log || fail "changed-zone-list"

# meets NUMBER WORD ZONE: the host makes the zone read-only when the word stands on the console
meets() {
    local at=$(((first + $3) * zone)) tries
    dd if=/dev/urandom of=$d bs=64k seek=$((at / 128)) count=2 oflag=direct conv=notrunc 2>/tmp/log || fail write
    echo "$2"
    # a notice (2) of kind EFh, whose log page is BFh
    for tries in $(seq 300); do [ "$(grep -c 'nvme_async_event.*NVME_AEN=0x0*bfef02' $trace/trace)" = $1 ] && break; sleep 0.1; done
    [ "$(grep -c 'nvme_async_event.*NVME_AEN=0x0*bfef02' $trace/trace)" = $1 ] || { tail -5 $trace/trace; fail "Linux has not received event $1"; }
    blkzone report -o $at -c 1 $d | grep -q 'zcond:13' || { blkzone report -o $at -c 1 $d; fail "the zone is not read-only"; }
    # reading the list makes way for the next event
    nvme zns changed-zone-list $d >/tmp/log || fail "changed-zone-list"
    grep -qE "zid [0-9]+: $at\$" /tmp/log || { cat /tmp/log; fail "the list does not name the zone"; }
    dd if=/tmp/log of=$d bs=64k seek=$((at / 128 + 2)) count=1 conv=sync,notrunc oflag=direct 2>/dev/null && fail "a read-only zone was written"
    dd if=$d of=/dev/null bs=64k skip=$((at / 128)) count=2 iflag=direct 2>/dev/null || fail "a read-only zone is not read"
}
meets 1 WRITING 3
meets 2 AGAIN 5
say "$(grep -o 'NVME_AEN.*' $trace/trace | tr '\n' ' ')"
