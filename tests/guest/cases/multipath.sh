# Btrfs on a zoned namespace with paths to two servers, which hand the image over to each other $HANDOVERS times (10) while fio writes and
# verifies. Linux 7.3: the multipath device of 6.12 has no zone limits.
. /cases/filesystem.sh
second=${PORT2:-$((PORT + 1))} handovers=${HANDOVERS:-10} passes=0
modprobe nvme-tcp
modprobe btrfs
for port in "$PORT" "$second"; do
    nvme connect -t tcp -a "$ADDRESS" -s "$port" -n "$NQN" -q "$HOST" -I "${HOST##*:}" -l 600 -c 1 >/tmp/log 2>&1 || { cat /tmp/log; fail "connect to $port"; }
done
NAMESPACES=1 find_namespaces || fail "no namespace"
states() { cat /sys/class/nvme-subsystem/nvme-subsys*/nvme*/nvme*c*n*/ana_state 2>/dev/null || cat /sys/block/nvme*c*n*/ana_state; }
say "two paths to $dev: $(states | tr '\n' ' ')"
[ "$(states | wc -l)" = 2 ] || { find /sys -name ana_state; fail "there are not two paths"; }

# a line for each state of the paths that differs from the one before
follow() { while sleep 0.05; do echo $(states); done | awk '$0 != last { print; fflush(); last = $0 }' >/tmp/states; }
follow &
follower=$!
changes() { sort /tmp/states | uniq -c | awk '/optimized/ { n += $1 } END { print n + 0 }'; }

blkzone reset "/dev/$dev"
mkfs.btrfs -f -q -O zoned -d single -m single "/dev/$dev" >/tmp/log 2>&1 || { cat /tmp/log; fail mkfs; }
cycle 16 btrfs ""
echo "WRITING"
end=$((SECONDS + ${MULTIPATH_SECONDS:-400}))
until [ "$(changes)" -gt "$handovers" ]; do
    [ $SECONDS -lt $end ] || { cat /tmp/states; fail "$(changes) states with a usable path in ${MULTIPATH_SECONDS:-400} s, expected $((handovers + 1))"; }
    fio --name=multipath --directory=/mnt/t --numjobs=2 --size=4M --rw=randwrite --bs=16k --ioengine=libaio --iodepth=4 --direct=1 --fsync=16 \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting >/tmp/fio 2>&1 || { grep -iE "err|verify|fio:" /tmp/fio | head; df -h /mnt/t; fail "fio"; }
    dd if=/dev/urandom of=/mnt/t/more$((passes % 3)) bs=1M count=2 2>/dev/null || fail write
    sync || fail sync
    passes=$((passes + 1))
done
kill $follower
say "$(($(changes) - 1)) hand-overs under $passes passes of fio"
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed"
(cd /mnt/t && sha256sum more* >>/tmp/sums)
umount /mnt/t || fail umount
mount -t btrfs "/dev/$dev" /mnt/t || fail "mount again"
(cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed after a remount"
btrfs scrub start -B /mnt/t >/tmp/log 2>&1 || { cat /tmp/log; fail scrub; }
umount /mnt/t
btrfs check "/dev/$dev" >/tmp/log 2>&1 || { tail /tmp/log; fail check; }
! dmesg | grep -iE 'btrfs.*(error|corrupt|bdev .* errs)|I/O error' || fail "the kernel saw errors"
