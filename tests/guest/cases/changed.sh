# The server makes a zone read-only while Linux looks on: an event comes, the changed zone list names the zone, and a write to it is refused.
. /cases/common.sh
attach || fail attach
d=/dev/$dev
at=$(((first + 3) * zone))
blkzone reset $d || fail reset
nvme zns changed-zone-list $d >/tmp/log || fail "changed-zone-list"
dd if=/dev/urandom of=$d bs=64k seek=$((at / 128)) count=2 oflag=direct conv=notrunc 2>/tmp/log || fail write
echo "WRITING"
# the host makes zone 3 read-only
for tries in $(seq 100); do
    blkzone report -o $at -c 1 $d | grep -q 'zcond:13' && break
    sleep 0.1
done
blkzone report -o $at -c 1 $d | grep -q 'zcond:13' || { blkzone report -o $at -c 1 $d; fail "the zone is not read-only"; }
nvme zns changed-zone-list $d >/tmp/log || fail "changed-zone-list"
grep -qE "zid [0-9]+: $at\$" /tmp/log || { cat /tmp/log; fail "the list does not name the zone"; }
sed 's/^/   /' /tmp/log | head -5
dd if=/tmp/log of=$d bs=64k seek=$((at / 128 + 2)) count=1 conv=sync,notrunc oflag=direct 2>/dev/null && fail "a read-only zone was written"
dd if=$d of=/dev/null bs=64k skip=$((at / 128)) count=2 iflag=direct 2>/dev/null || fail "a read-only zone is not read"
dmesg | grep -i 'aen\|async' | tail -3
