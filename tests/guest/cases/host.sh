# One of two hosts, each a guest of its own, on one zoned namespace at once. Host number $NUMBER writes its zones while the other writes the
# others; then each reads what both wrote. The data follows from a zone's number, so that both know it.
. /cases/common.sh
attach || fail attach
content() { yes "zone $1 of a disk with two hosts" | head -c 1048576; }
mine=$((first + 2 + NUMBER * 4)) other=$((first + 2 + (1 - NUMBER) * 4))
flag=$((first + NUMBER)) other_flag=$((first + 1 - NUMBER))
full() { [ "$(blkzone report -o $(($1 * zone)) -c 1 /dev/$dev | sed -E 's/.*zcond: *([0-9]+)\(.*/\1/')" = 14 ]; }
# the flags: a finished zone says "I am here", and an emptied one "I have written"
blkzone reset -o $((flag * zone)) -c 1 /dev/$dev && blkzone reset -o $((mine * zone)) -c 4 /dev/$dev || fail reset
blkzone finish -o $((flag * zone)) -c 1 /dev/$dev || fail finish
for tries in $(seq 600); do full $other_flag && break; sleep 0.2; done
full $other_flag || fail "the other host did not come"
for i in 0 1 2 3; do
    content $((mine + i)) >/tmp/data
    dd if=/tmp/data of=/dev/$dev bs=16k seek=$(((mine + i) * zone / 32)) oflag=direct conv=notrunc 2>/tmp/log || fail "write to zone $((mine + i))"
done
sleep 1
blkzone reset -o $((flag * zone)) -c 1 /dev/$dev || fail "reset of the flag"
for tries in $(seq 600); do full $other_flag || break; sleep 0.2; done
full $other_flag && fail "the other host did not write"
for i in 0 1 2 3; do
    for at in $((mine + i)) $((other + i)); do
        content $at >/tmp/data
        compare_zone $at 16
    done
done
say "two hosts, $(nvme list-subsys | grep -c tcp) connection of this one"
