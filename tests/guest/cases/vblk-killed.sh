# The back end of a plain disk is killed in mid-write and started again: QEMU waits for it and hands out again what had no answer. No request
# may fail, and what was written reads back. (A zoned disk cannot be tested so: QEMU 11.1.3's generic device does not outlive its back end.)
. /cases/common.sh
attach || fail attach
dd if=/dev/urandom of=/tmp/data bs=64k count=128 2>/dev/null
echo "WRITING"
for at in $(seq 0 127); do
    dd if=/tmp/data of=/dev/$dev bs=64k skip=$at seek=$at count=1 oflag=direct conv=notrunc 2>/tmp/log || fail "write $at"
    sleep 0.05
done
zone=0
compare_zone 0 128
