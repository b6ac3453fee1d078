# Every connection is dropped in mid-write, twice. The kernel reconnects and sends again what had no answer.
. /cases/common.sh
attach -l 60 -c 1 || fail attach
blkzone reset -c 4 "/dev/$dev"
echo "WRITING"
write_by_pointer $first 64 0.15
[ "$(dmesg | grep -c 'Successfully reconnected')" -ge 2 ] || fail "the connection was not lost twice"
