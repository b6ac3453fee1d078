# Runs the cases that $CASES names, each in a shell of its own, and counts what failed.
. /cases/common.sh
failed=0

# a case that hangs prints where the kernel's tasks are blocked; the guest then ends, because nothing can end such a task
watch_case() {
    sleep "${CASE_SECONDS:-7200}"
    echo "   no end after ${CASE_SECONDS:-7200} s; blocked tasks:"
    ps ax 2>/dev/null | grep -v '\[.*\]$' | sed 's/^/   /'
    dmesg -C
    echo w >/proc/sysrq-trigger
    sleep 2
    dmesg | tail -200
}

# run_case NAME: false when it fails or hangs; $hung then says which
run_case() {
    local case watcher code=0
    bash "/cases/$1.sh" &
    case=$!
    watch_case &
    watcher=$!
    wait -n -p ended "$case" "$watcher" || code=$?
    if [ "$ended" = "$watcher" ]; then hung=1; return 1; fi
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    return $code
}

for case in $CASES; do
    hung=
    if run_case "$case"; then echo "ok $LABEL$case"; else
        echo "not ok $LABEL$case"
        failed=$((failed + 1))
        [ -z "$hung" ] || break
        dmesg | grep -iE 'nvme|blk|I/O error|f2fs|btrfs|zonefs|virtio' | tail -15
        [ ! -f /tmp/log ] || sed 's/^/   /' /tmp/log | tail -15
    fi
    nvme disconnect-all >/dev/null 2>&1
done
exit $((failed > 0))
