# blkzone and nvme zns: report, open, close, finish, reset
. /cases/common.sh
connect || fail connect
d=/dev/$dev
zone=$(cat /sys/block/$dev/queue/chunk_sectors)
state() { blkzone report -o $(($1 * zone)) -c 1 $d | sed -E 's/.*zcond: *([0-9]+)\(.*/\1/'; }
expect() { [ "$(state $1)" = "$2" ] || fail "zone $1 is in condition $(state $1), not $2, after $3"; }
blkzone reset $d || fail reset
expect 0 1 reset
blkzone open -o 0 -c 1 $d && expect 0 3 open
dd if=/dev/zero of=$d bs=64k count=1 oflag=direct conv=notrunc 2>/dev/null || fail write
blkzone close -o 0 -c 1 $d && expect 0 4 close
blkzone finish -o 0 -c 1 $d && expect 0 14 finish
blkzone reset -o 0 -c 1 $d && expect 0 1 "reset of one"
nvme zns id-ctrl /dev/${dev%n?} >/tmp/log || fail "zns id-ctrl"
nvme zns id-ns $d >/tmp/log || fail "zns id-ns"
nvme zns report-zones $d -d 4 >/tmp/log || fail "zns report-zones"
nvme zns open-zone $d -s 0 || fail "zns open-zone"
nvme zns close-zone $d -s 0 || fail "zns close-zone"
nvme zns finish-zone $d -s 0 || fail "zns finish-zone"
nvme zns reset-zone $d -s 0 || fail "zns reset-zone"
echo hello >/tmp/text; dd if=/tmp/text of=/tmp/sector bs=4096 count=1 conv=sync 2>/dev/null
nvme zns zone-append $d -s 0 -z 4096 -d /tmp/sector || fail "zns zone-append"
nvme zns changed-zone-list $d >/tmp/log || fail "zns changed-zone-list"
nvme smart-log /dev/${dev%n?} >/tmp/log || fail smart-log
nvme error-log /dev/${dev%n?} >/tmp/log || fail error-log
nvme fw-log /dev/${dev%n?} >/tmp/log || fail fw-log
nvme get-feature /dev/${dev%n?} -f 7 >/tmp/log || fail get-feature
