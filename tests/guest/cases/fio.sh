# fio in zoned mode: what is written is verified; one job and four, depths to 64
. /cases/common.sh
connect || fail connect
for run in "1 1 4k" "1 64 4k" "4 16 64k" "1 8 256k"; do
    set -- $run
    blkzone reset "/dev/$dev"
    size=$(( $1 == 1 ? 16 : 8 ))
    fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=$3 --iodepth=$2 --numjobs=$1 --group_reporting \
        --size=${size}z --offset_increment=${size}z --verify=crc32c --do_verify=1 --verify_fatal=1 --max_open_zones=8 --io_size=8M >/tmp/log 2>&1 \
        || { tail -20 /tmp/log; fail "fio with $1 jobs, depth $2, blocks of $3"; }
done
