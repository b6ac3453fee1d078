# What the cases share. The server is at $ADDRESS:$PORT and its subsystem is $NQN.
ADDRESS=${ADDRESS:-10.0.2.2} PORT=${PORT:-4420}
say() { echo "   $*"; }
fail() { echo "   failed: $*"; exit 1; }

# connect [OPTION...]: leaves the device's name in $dev
connect() {
    modprobe nvme-tcp
    nvme connect -t tcp -a "$ADDRESS" -s "$PORT" -n "$NQN" -q nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555 "$@" || return 1
    local tries
    for tries in $(seq 100); do
        dev=$(ls /dev 2>/dev/null | grep -m1 -E '^nvme[0-9]+n1$')
        [ -n "$dev" ] && [ -b "/dev/$dev" ] && [ "$(cat /sys/block/$dev/size)" != 0 ] && return 0
        sleep 0.1
    done
    echo "   no block device came"
    return 1
}
