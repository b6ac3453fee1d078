# Runs the cases that $CASES names, each in a shell of its own, and counts what failed.
. /cases/common.sh
failed=0
for case in $CASES; do
    if bash "/cases/$case.sh"; then echo "ok $LABEL$case"; else
        echo "not ok $LABEL$case"
        failed=$((failed + 1))
        dmesg | grep -iE 'nvme|blk|I/O error|f2fs|btrfs|zonefs|virtio' | tail -15
        [ ! -f /tmp/log ] || sed 's/^/   /' /tmp/log | tail -15
    fi
    nvme disconnect-all >/dev/null 2>&1
done
exit $((failed > 0))
