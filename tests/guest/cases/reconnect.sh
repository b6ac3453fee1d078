# every connection is dropped in mid-write: the kernel reconnects, and what fio wrote is verified
. /cases/common.sh
connect -l 60 -c 1 || fail connect
blkzone reset "/dev/$dev"
fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=64k --iodepth=4 --size=16z --io_size=24M \
    --verify=crc32c --do_verify=1 --verify_fatal=1 --max_open_zones=4 >/tmp/log 2>&1 &
writer=$!
echo "WRITING"
wait $writer || { tail -20 /tmp/log; fail "fio"; }
dmesg | grep -q 'Successfully reconnected' || fail "the connection was never lost"
