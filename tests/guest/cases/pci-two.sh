# Two drives on the guest's bus, in use at once: each keeps what is its own.
. /cases/common.sh
modprobe nvme
for tries in $(seq 100); do
    zoned=
    for name in $(ls /dev | grep -E '^nvme[0-9]+n[0-9]+$'); do
        [ "$(cat /sys/block/$name/queue/zoned)" != host-managed ] || zoned="$zoned $name"
    done
    [ "$(wc -w <<<"$zoned")" = 2 ] && break
    sleep 0.1
done
[ "$(wc -w <<<"$zoned")" = 2 ] || fail "zoned drives:$zoned"
[ "$(cat /sys/class/nvme/nvme*/serial | sort -u | wc -l)" = 2 ] || say "the controllers have one serial number: $(cat /sys/class/nvme/nvme0/serial)"
jobs=
for name in $zoned; do
    blkzone reset "/dev/$name" || fail "reset of $name"
    fio --name=$name --filename="/dev/$name" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=16k --iodepth=16 --offset=20z --size=8z \
        --verify=crc32c --do_verify=1 --verify_fatal=1 --max_open_zones=4 --io_size=${FIO_MEGABYTES:-8}M >/tmp/fio-$name 2>&1 &
    jobs="$jobs $!"
done
for job in $jobs; do wait $job || { tail -5 /tmp/fio-*; fail "fio"; }; done
for name in $zoned; do
    yes "drive $name" | head -c 1048576 >/tmp/data-$name
    dd if=/tmp/data-$name of=/dev/$name bs=64k oflag=direct conv=notrunc 2>/tmp/log || fail "write to $name"
done
for name in $zoned; do
    dd if=/dev/$name of=/tmp/back bs=64k count=16 iflag=direct 2>/dev/null
    cmp /tmp/data-$name /tmp/back || fail "$name has other data"
done
