# Every connection is dropped in mid-write, twice. The kernel reconnects and sends again what had no answer; a write that the drive had already
# taken is then refused, on any drive. So the writer does what zoned software must: it asks for the pointer and goes on from there.
. /cases/common.sh
connect -l 60 -c 1 || fail connect
d=/dev/$dev
blkzone reset -c 4 $d
dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null
# while the connection is lost, a report fails too
pointer() {
    local at
    until at=$(blkzone report -o 0 -c 1 $d 2>/tmp/log | sed -nE 's/.*wptr (0x[0-9a-f]+).*/\1/p') && [ -n "$at" ]; do sleep 0.5; done
    echo $((at / 128))
}
echo "WRITING"
retries=0
end=$((SECONDS + 90))
while at=$(pointer); [ "$at" -lt 64 ]; do
    dd if=/tmp/data of=$d bs=64k skip=$at seek=$at count=1 oflag=direct conv=notrunc 2>/tmp/log || retries=$((retries + 1))
    [ $SECONDS -lt $end ] || fail "it takes too long"
    sleep 0.15
done
say "$retries writes were refused and done again"
echo 3 >/proc/sys/vm/drop_caches
dd if=$d of=/tmp/back bs=64k count=64 iflag=direct 2>/dev/null
cmp /tmp/data /tmp/back || fail "what was written does not read back"
[ "$(dmesg | grep -c 'Successfully reconnected')" -ge 2 ] || fail "the connection was not lost twice"
