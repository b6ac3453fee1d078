# What the cases share. The server is at $ADDRESS:$PORT and its subsystem is $NQN.
ADDRESS=${ADDRESS:-10.0.2.2} PORT=${PORT:-4420}
say() { echo "   $*"; }
fail() { echo "   failed: $*"; exit 1; }

# connect [OPTION...]: leaves the name of the zoned device in $dev, that of the plain one, where there is one, in $plain.
# The kernel looks at namespaces in parallel: their numbers in /dev say nothing.
connect() {
    modprobe nvme-tcp
    nvme connect -t tcp -a "$ADDRESS" -s "$PORT" -n "$NQN" -q nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555 "$@" >/dev/null || return 1
    local tries name
    for tries in $(seq 100); do
        dev= plain=
        for name in $(ls /dev | grep -E '^nvme[0-9]+n[0-9]+$'); do
            [ "$(cat /sys/block/$name/size)" != 0 ] || continue
            if [ "$(cat /sys/block/$name/queue/zoned)" = host-managed ]; then dev=$name; else plain=$name; fi
        done
        [ -n "$dev" ] && [ "$(ls /dev | grep -cE '^nvme[0-9]+n[0-9]+$')" = "${NAMESPACES:-2}" ] && return 0
        sleep 0.1
    done
    echo "   no zoned device came"
    return 1
}
