# Btrfs on a zoned namespace with paths to two servers, which hand the image over to each other $HANDOVERS times (10) while fio writes and
# verifies. Linux 7.3: the multipath device of 6.12 has no zone limits. Linux keeps write pointers for each path, and does not know what was
# written over another one meanwhile: a path that another one has replaced is connected again, as docs/nvme.md tells administrators to do.
. /cases/filesystem.sh
second=${PORT2:-$((PORT + 1))} handovers=${HANDOVERS:-10} passes=0
modprobe nvme-tcp
modprobe btrfs
path() { nvme connect -t tcp -a "$ADDRESS" -s "$1" -n "$NQN" -q "$HOST" -I "${HOST##*:}" -l 600 -c 1 >/tmp/log 2>&1; }
for port in "$PORT" "$second"; do path "$port" || { cat /tmp/log; fail "connect to $port"; }; done
NAMESPACES=1 find_namespaces || fail "no namespace"

# a line for each path: its port, its state and its controller
states() {
    local controller port
    for controller in /sys/class/nvme/nvme*; do
        port=$(sed -n 's/.*trsvcid=\([0-9]*\).*/\1/p' "$controller/address" 2>/dev/null)
        echo "$port $(cat "$controller"/nvme*c*n*/ana_state 2>/dev/null || echo none) ${controller##*/}"
    done | sort
}
say "two paths to $dev: $(states | tr '\n' ' ')"
[ "$(states | wc -l)" = 2 ] || fail "there are not two paths"

# counts hand-overs in /tmp/count, and renews the path that was left
follow() {
    local active= now
    echo 0 >/tmp/count
    while sleep 0.1; do
        states >/tmp/now
        now=$(awk '$2 == "optimized" { print $1 }' /tmp/now)
        # none, or two when the state of one changed before that of the other was read
        case $now in '' | *[!0-9]*) continue ;; esac
        [ "$now" != "$active" ] || continue
        echo "$(cut -d. -f1 /proc/uptime) $now" >>/tmp/states
        [ -z "$active" ] || {
            # what was in flight there ends first
            sleep 1
            nvme disconnect -d "$(awk -v p="$active" '$1 == p { print $3 }' /tmp/now)" >/dev/null 2>&1
            for tries in $(seq 50); do path "$active" && break || sleep 0.2; done
            # Linux drops a path that it connects while it can use no other one
            for tries in $(seq 100); do states | grep -qE "^$active (inaccessible|optimized) " && break || sleep 0.1; done
            echo $(($(cat /tmp/count) + 1)) >/tmp/count
            echo "RENEWED $(cat /tmp/count)"
        }
        active=$now
    done
}
follow &
follower=$!

# says where the kernel waits if it does
watch() {
    local last= now since=$SECONDS process
    while sleep 5; do
        now=$(cat /tmp/count)
        [ "$now" = "$last" ] || { last=$now since=$SECONDS; continue; }
        [ $((SECONDS - since)) -ge 40 ] || continue
        since=$SECONDS
        say "no hand-over for 40 s after $now; $(states | tr '\n' ' ')"
        for process in /proc/[0-9]*; do
            grep -q '^State:.*D' "$process/status" 2>/dev/null || continue
            say "$(cat "$process/comm") waits:"
            sed 's/^/   /' "$process/stack"
        done
        grep -v '^#' /sys/kernel/tracing/trace | tail -20
        dmesg | tail -20
    done
}
watch &
watcher=$!
trouble() {
    sed 's/^/   active: /' /tmp/states
    grep -v '^#' /sys/kernel/tracing/trace | tail -40
    fail "$@"
}

# requests that fail, in whichever layer
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
trace() { echo "$2" >"/sys/kernel/tracing/events/$1/filter" && echo 1 >"/sys/kernel/tracing/events/$1/enable"; }
trace nvme/nvme_complete_rq 'status != 0'
trace block/block_bio_complete 'error != 0'
trace block/block_rq_error 'error != 0'

check_fio() {
    fio --name=multipath --directory=/mnt/t --numjobs=2 --size=4M --rw=randwrite --bs=16k --ioengine=psync --randseed=7 --verify=crc32c \
        --verify_fatal=1 --group_reporting "$@" >/tmp/fio 2>&1 || { grep -iE "err|verify|fio:" /tmp/fio | head -4; trouble "fio $*"; }
}

blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle 16 btrfs ""
echo "WRITING"
end=$((SECONDS + ${MULTIPATH_SECONDS:-600}))
until [ "$(cat /tmp/count)" -ge "$handovers" ]; do
    [ $SECONDS -lt $end ] || trouble "$(cat /tmp/count) hand-overs in ${MULTIPATH_SECONDS:-600} s, expected $handovers"
    # no fsync of single files: on a zoned NVMe namespace of this server, Btrfs of 7.3.4 answered some of two at once with EAGAIN
    check_fio --do_verify=0
    sync || trouble sync
    echo 3 >/proc/sys/vm/drop_caches
    check_fio --verify_only=1
    dd if=/dev/urandom of=/mnt/t/more$((passes % 3)) bs=1M count=2 2>/dev/null || trouble write
    sync || trouble sync
    passes=$((passes + 1))
done
kill $follower $watcher
say "$(cat /tmp/count) hand-overs under $passes passes of fio"
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed"
(cd /mnt/t && sha256sum more* >>/tmp/sums)
umount /mnt/t || fail umount
mount -t btrfs "/dev/$dev" /mnt/t || fail "mount again"
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed after a remount"
btrfs scrub start -B /mnt/t >/tmp/log 2>&1 || { cat /tmp/log; fail scrub; }
umount /mnt/t
btrfs check "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail check; }
! dmesg | grep -iE 'btrfs.*(error|corrupt|bdev .* errs)|I/O error' || fail "the kernel saw errors"
