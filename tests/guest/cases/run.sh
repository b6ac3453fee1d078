# Runs the cases that $CASES names, each in a shell of its own, and counts what failed.
. /cases/common.sh
failed=0
for case in $CASES; do
    if bash "/cases/$case.sh"; then echo "ok $case"; else
        echo "not ok $case"
        failed=$((failed + 1))
        dmesg | grep -iE 'nvme|blk|I/O error|f2fs|btrfs|zonefs' | tail -15
        [ ! -f /tmp/log ] || sed 's/^/   /' /tmp/log | tail -15
    fi
    nvme disconnect-all >/dev/null 2>&1
done
exit $((failed > 0))
