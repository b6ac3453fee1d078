# The guest has started from the drive: its root is there. It writes, starts again, and finds what it has written.
. /cases/common.sh
device=$(sed -nE 's#^(/dev/[^ ]+) / .*#\1#p' /proc/mounts | head -1)
case $device in /dev/nvme*) ;; *) fail "the root is on $device" ;; esac
mount -o remount,rw / || fail "remount"
boots=$(cat /boots 2>/dev/null || echo 0)
say "root on $device, start $((boots + 1))"
if [ $boots -gt 0 ]; then
    (cd / && sha256sum -c /sums >/tmp/log 2>&1) || fail "the files changed"
fi
echo $((boots + 1)) >/boots
[ $boots -lt ${STARTS:-1} ] || exit 0
dd if=/dev/urandom of=/written bs=1M count=16 2>/dev/null
(cd / && sha256sum written >/sums)
sync
mount -o remount,ro / || fail "remount read-only"
reboot -f
sleep 60
fail "the guest goes on"
