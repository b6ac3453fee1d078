# blkzone and nvme zns: report, open, close, finish, reset
. /cases/common.sh
attach || fail attach
d=/dev/$dev
at=$((first * zone))
state() { blkzone report -o $at -c 1 $d | sed -E 's/.*zcond: *([0-9]+)\(.*/\1/'; }
expect() { [ "$(state)" = "$1" ] || fail "the zone is in condition $(state), not $1, after $2"; }
blkzone reset $d || fail reset
expect 1 reset
blkzone open -o $at -c 1 $d && expect 3 open || fail open
dd if=/dev/zero of=$d bs=64k seek=$((at / 128)) count=1 oflag=direct conv=notrunc 2>/dev/null || fail write
blkzone close -o $at -c 1 $d && expect 4 close || fail close
blkzone finish -o $at -c 1 $d && expect 14 finish || fail finish
blkzone reset -o $at -c 1 $d && expect 1 "reset of one" || fail "reset of one"
# where the pointer does not stand, no write goes
dd if=/dev/zero of=$d bs=64k seek=$((at / 128 + 1)) count=1 oflag=direct conv=notrunc 2>/dev/null && fail "a write beyond the pointer was taken"
[ "$(blkzone report $d | wc -l)" = $(($(cat /sys/block/$dev/size) / zone)) ] || fail "not every zone is reported"
[ "${DISK:-nvme}" != virtio ] || exit 0
nvme zns id-ctrl /dev/${dev%n?} >/tmp/log || fail "zns id-ctrl"
nvme zns id-ns $d >/tmp/log || fail "zns id-ns"
nvme zns report-zones $d -d 4 >/tmp/log || fail "zns report-zones"
nvme zns open-zone $d -s 0 || fail "zns open-zone"
nvme zns close-zone $d -s 0 || fail "zns close-zone"
nvme zns finish-zone $d -s 0 || fail "zns finish-zone"
nvme zns reset-zone $d -s 0 || fail "zns reset-zone"
echo hello >/tmp/text; dd if=/tmp/text of=/tmp/sector bs=4096 count=1 conv=sync 2>/dev/null
nvme zns zone-append $d -s 0 -z 4096 -d /tmp/sector || fail "zns zone-append"
# the drive that QEMU emulates keeps no such list
[ -n "${CONTROL:-}" ] || nvme zns changed-zone-list $d >/tmp/log || fail "zns changed-zone-list"
nvme smart-log /dev/${dev%n?} >/tmp/log || fail smart-log
nvme error-log /dev/${dev%n?} >/tmp/log || fail error-log
nvme fw-log /dev/${dev%n?} >/tmp/log || fail fw-log
nvme get-feature /dev/${dev%n?} -f 7 >/tmp/log || fail get-feature
