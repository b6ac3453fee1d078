# fio in zoned mode: what is written is verified; one job and four, depths to 64. $FIO_MEGABYTES is what each job writes.
. /cases/common.sh
attach || fail attach
runs=("1 1 4k" "1 64 4k" "4 16 64k" "1 8 256k")
[ -z "${FIO_LONG:-}" ] || runs=("1 1 4k" "1 8 4k" "1 64 4k" "4 1 4k" "4 8 4k" "4 64 4k" "1 64 64k" "4 64 64k" "1 8 256k" "4 16 256k")
for run in "${runs[@]}"; do
    set -- $run
    blkzone reset "/dev/$dev"
    size=$(( $1 == 1 ? 16 : 8 ))
    fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=$3 --iodepth=$2 --numjobs=$1 --group_reporting \
        --offset=${first}z --size=${size}z --offset_increment=${size}z --verify=crc32c --do_verify=1 --verify_fatal=1 --max_open_zones=8 \
        --io_size=${FIO_MEGABYTES:-8}M >/tmp/log 2>&1 \
        || { tail -20 /tmp/log; fail "fio with $1 jobs, depth $2, blocks of $3"; }
    [ -z "${FIO_LONG:-}" ] || say "$1 jobs, depth $2, blocks of $3: $(grep -E '^ *(READ|WRITE):' /tmp/log | tr -s ' ' | cut -d, -f1 | tr '\n' ' ')"
done
