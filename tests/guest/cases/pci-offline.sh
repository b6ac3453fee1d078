# The server makes a zone read-only and another offline under the guest: Linux sees both conditions, reads of the first succeed, and a file system or a
# program that writes them gets errors; other zones go on.
. /cases/common.sh
attach || fail attach
d=/dev/$dev
blkzone reset $d || fail reset
dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
for number in 3 5 6; do dd if=/tmp/data of=$d bs=64k seek=$(((first + number) * zone / 128)) oflag=direct conv=notrunc 2>/tmp/log || fail write; done
condition() { blkzone report -o $(((first + $1) * zone)) -c 1 $d | sed -E 's/.*zcond: *([0-9]+)\(.*/\1/'; }
echo "WRITING"
for tries in $(seq 300); do [ "$(condition 3)" = 13 ] && [ "$(condition 5)" = 15 ] && break; sleep 0.1; done
[ "$(condition 3)" = 13 ] || fail "zone 3 is $(condition 3), not read-only"
[ "$(condition 5)" = 15 ] || fail "zone 5 is $(condition 5), not offline"
compare_zone $((first + 3)) 16
write() { dd if=/tmp/data of=$d bs=64k seek=$(((first + $1) * zone / 128 + 16)) count=1 oflag=direct conv=notrunc 2>/tmp/log; }
write 3 && fail "a read-only zone was written"
write 5 && fail "an offline zone was written"
dd if=$d of=/dev/null bs=64k skip=$(((first + 5) * zone / 128)) count=1 iflag=direct 2>/dev/null && fail "an offline zone was read"
write 6 || fail "another zone is not written any more"
exit 0
