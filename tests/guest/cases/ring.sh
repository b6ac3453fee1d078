# Measures the two zoned drives on the guest's bus, ours and the one that QEMU emulates: $ROUNDS rounds of each load on each, in turn, by io_uring
# passthrough (bench/ring.c). Prints "RESULT NAME LOAD IOPS P50 P99", times in microseconds.
. /cases/common.sh
modprobe nvme
name_of() { case $(cat /sys/block/$1/device/model) in QEMU*) echo qemu ;; *) echo paddock ;; esac; }
for tries in $(seq 100); do
    drives=
    for name in $(ls /dev | grep -E '^nvme[0-9]+n[0-9]+$'); do
        [ "$(cat /sys/block/$name/queue/zoned)" != host-managed ] || drives="$drives $name"
    done
    [ "$(wc -w <<<"$drives")" = ${DRIVES:-2} ] && break
    sleep 0.1
done
[ "$(wc -w <<<"$drives")" = ${DRIVES:-2} ] || fail "zoned drives:$drives"
# name, kind, bytes, depth
loads=("read-4k-1 randread 4096 1" "read-4k-32 randread 4096 32" "write-4k-1 write 4096 1" "write-4k-32 write 4096 32" "append-4k-1 append 4096 1"
    "append-4k-32 append 4096 32" "read-128k-8 randread 131072 8" "write-128k-8 write 131072 8" "append-128k-8 append 131072 8")
for dev in $drives; do
    name=$(name_of $dev) zone=$(cat /sys/block/$dev/queue/chunk_sectors)
    say "$name is /dev/$dev: $(cat /sys/block/$dev/device/model), $(cat /sys/block/$dev/device/queue_count 2>/dev/null) queues"
    blkzone reset /dev/$dev || fail "reset of $name"
    # what the reads find: four zones
    dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null
    for number in 0 1 2 3; do
        dd if=/tmp/data of=/dev/$dev bs=256k seek=$((number * zone / 512)) oflag=direct conv=notrunc 2>/tmp/log || fail "fill $name"
    done
done
for round in $(seq ${ROUNDS:-3}); do
    for load in "${loads[@]}"; do
        set -- $load
        [ -z "${LOADS:-}" ] || case " $LOADS " in *" $1 "*) ;; *) continue ;; esac
        for dev in $drives; do
            zone=$(cat /sys/block/$dev/queue/chunk_sectors) block=$(cat /sys/block/$dev/queue/logical_block_size)
            zone=$((zone * 512 / block))
            case $2 in randread) at=0 blocks=$((4 << 24)) ;; *) at=$((8 * zone)) blocks=$((8 * zone * block)) ;; esac
            # the filled part of four zones is not one range where zones are larger than 16 MiB: reads stay in the first
            case $2 in randread) [ $((zone * block)) = $((16 << 20)) ] || blocks=$((16 << 20)) ;; esac
            result=$(/ring /dev/ng${dev#nvme} $2 $3 $4 ${SECONDS_EACH:-4} $at $((blocks / block)) $zone $block 2>/tmp/log) || { cat /tmp/log; fail "$load on $dev"; }
            echo "RESULT $(name_of $dev) $1 $result"
        done
    done
done
