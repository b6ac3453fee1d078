# The drive as a PCI device of the guest: its capabilities and interrupts; the controller reset, also under load; function-level reset; the driver
# unbound and bound again; the device removed and found again; a processor taken away. What was written stays.
. /cases/common.sh
attach || fail attach
name=${dev%n?} bus=$(basename "$(readlink -f "/sys/class/nvme/${dev%n?}/device")")
function=/sys/bus/pci/devices/$bus
# other cases provoke errors on purpose
dmesg -C
content() { yes "zone $1 after $2" | head -c 1048576; }
: >/tmp/written

# again WHAT: the drive is back; everything written before reads back, and a new zone can be written
again() {
    find_namespaces || fail "no drive after $1"
    local number what zone_number
    while read -r number what; do
        content "$number" "$what" >/tmp/data
        compare_zone "$number" 16
    done </tmp/written
    zone_number=$((first + 4 + $(wc -l </tmp/written)))
    content $zone_number "$1" >/tmp/data
    dd if=/tmp/data of="/dev/$dev" bs=64k seek=$((zone_number * zone / 128)) oflag=direct conv=notrunc 2>/tmp/log || fail "write after $1"
    echo "$zone_number $1" >>/tmp/written
    compare_zone $zone_number 16
}
live() {
    local tries
    for tries in $(seq 300); do [ "$(cat /sys/class/nvme/$name/state 2>/dev/null)" = live ] && return; sleep 0.1; done
    fail "the controller is $(cat /sys/class/nvme/$name/state 2>&1) after $1"
}

blkzone reset "/dev/$dev" || fail reset
again boot
lspci -vv -s "$bus" >/tmp/lspci 2>/dev/null || fail lspci
say "$(head -1 /tmp/lspci | cut -c1-100)"
# the class of a drive, 64-bit BAR 0
[ "$(cat $function/class)" = 0x010802 ] || fail "class $(cat $function/class)"
if [ "${INTX:-}" ]; then
    [ "$(grep -cE " ${name}q?[0-9]*\$" /proc/interrupts)" = 1 ] && ! grep -q 'MSI.*nvme' /proc/interrupts || fail "not one interrupt line: $(grep nvme /proc/interrupts)"
else
    grep -q 'MSI-X: Enable+' /tmp/lspci || fail "MSI-X is off"
    queues=$(grep -c "${name}q" /proc/interrupts)
    [ "$queues" -ge 2 ] || fail "$queues interrupts"
    say "$queues vectors, $(cat /sys/class/nvme/$name/queue_count) queues"
fi

nvme reset "/dev/$name" || fail "nvme reset"
live reset
again reset
grep -q flr $function/reset_method || [ -n "${CONTROL:-}" ] || fail "no function-level reset: $(cat $function/reset_method 2>&1)"
echo 1 >$function/reset 2>/tmp/log || fail "function-level reset"
live flr
again flr

# under load: reads come back correct, however often the controller is reset
fio --name=t --filename="/dev/$dev" --direct=1 --zonemode=zbd --ioengine=io_uring --rw=write --bs=64k --offset=$((first + 40))z --size=1z --io_size=8M \
    --verify=crc32c --do_verify=0 >/tmp/log 2>&1 || fail "fio: fill"
fio --name=t --filename="/dev/$dev" --direct=1 --ioengine=io_uring --rw=read --bs=64k --offset=$(((first + 40) * zone * 512)) --size=8M --iodepth=16 \
    --verify=crc32c --verify_fatal=1 --loops=${RESET_LOOPS:-30} >/tmp/fio 2>&1 &
reader=$! resets=0
while kill -0 $reader 2>/dev/null; do
    [ $((resets % 2)) = 0 ] && nvme reset "/dev/$name" || echo 1 >$function/reset
    resets=$((resets + 1))
    live "reset under load"
    sleep 0.3
done
wait $reader || { tail -5 /tmp/fio; fail "fio under resets"; }
say "$resets resets under load"
again load

echo "$bus" >/sys/bus/pci/drivers/nvme/unbind || fail unbind
[ -z "$(ls /dev | grep -E '^nvme[0-9]+n')" ] || fail "a namespace without a driver"
echo "$bus" >/sys/bus/pci/drivers/nvme/bind || fail bind
again bind
echo 1 >$function/remove || fail remove
echo 1 >/sys/bus/pci/rescan
again rescan
rmmod nvme && modprobe nvme || fail "the module's removal"
again module
echo 0 >/sys/devices/system/cpu/cpu1/online || fail "the processor stays"
again "processor's removal"
echo 1 >/sys/devices/system/cpu/cpu1/online
again "processor's return"
! dmesg | grep -E 'I/O error|timeout, (aborting|disable)' || fail "the kernel has seen errors"
