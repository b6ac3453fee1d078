# Measures: $ROUNDS rounds of each load on each of $TARGETS, in turn. A target is NAME=ADDRESS:PORT:NQN. Prints "RESULT NAME LOAD IOPS".
. /cases/common.sh
loads=("write-4k-1 write 4k 1" "write-128k-8 write 128k 8" "randread-4k-1 randread 4k 1" "randread-4k-32 randread 4k 32")
measure() {
    local name=$1 load kind size depth offset
    for load in "${loads[@]}"; do
        set -- $load
        kind=$2 size=$3 depth=$4 offset=8z
        # reads are of the zones that were filled once; writes begin with empty ones
        if [ $kind = randread ]; then offset=0; else blkzone reset -o $((8 * zone)) -c 4 "/dev/$dev" || fail reset; fi
        fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=$kind --bs=$size --iodepth=$depth --offset=$offset --size=2z \
            --time_based --runtime=${SECONDS_EACH:-6} --ramp_time=1 --output-format=json >/tmp/fio 2>/tmp/log || fail "fio: $load"
        echo "RESULT $name $1 $(sed -nE 's/^ *"iops" : ([0-9.]+),.*/\1/p' /tmp/fio | sort -n | tail -1)"
    done
}
for round in $(seq ${ROUNDS:-3}); do
    for target in $TARGETS; do
        name=${target%%=*}
        IFS=: read -r ADDRESS PORT NQN <<<"${target#*=}"
        NAMESPACES=1 attach || fail "attach to $name"
        if [ $round = 1 ]; then
            blkzone reset "/dev/$dev" || fail reset
            dd if=/dev/urandom of="/dev/$dev" bs=256k count=256 oflag=direct conv=notrunc 2>/tmp/log || fail fill
        fi
        measure "$name" || exit 1
        nvme disconnect-all >/dev/null 2>&1
    done
done
