# The server is killed under the guest: QEMU and the guest live on, and requests end in errors.
. /cases/common.sh
attach || fail attach
dd if="/dev/$dev" of=/dev/null bs=64k count=1 iflag=direct 2>/dev/null || fail read
echo "WRITING"
# of a drive that Linux has given up, a read fails, or reads nothing: it has no blocks any more
answers() {
    : >/tmp/back
    dd if="/dev/$dev" of=/tmp/back bs=64k count=1 iflag=direct 2>/tmp/log && [ -s /tmp/back ]
}
for tries in $(seq 600); do
    answers || break
    sleep 0.1
done
answers && fail "the drive still answers"
say "$(dmesg | grep -i nvme | tail -2 | cut -c1-120)"
