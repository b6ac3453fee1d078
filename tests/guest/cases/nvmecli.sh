# nvme-cli's own tests (of Debian's source package) on the first drive. Each needs namespace management: it begins by deleting every namespace and making
# one that fills the drive. On a drive without it (UNMANAGED=1: QEMU's own) the tests use the namespace that is there.
. /cases/common.sh
if [ -n "${UNMANAGED:-}" ]; then
    NO_ZONES=1 NAMESPACES=1 attach || fail attach
else
    # the drive has no namespace yet, and the tests ask the first one for its formats
    case $DISK in
        pci) modprobe nvme ;;
        *) modprobe nvme-tcp; nvme connect -t tcp -a "$ADDRESS" -s "$PORT" -n "$NQN" -q "$HOST" >/dev/null || fail connect ;;
    esac
    for tries in $(seq 100); do [ "$(cat /sys/class/nvme/nvme0/state 2>/dev/null)" = live ] && break; sleep 0.1; done
    nvme create-ns /dev/nvme0 -s 65536 -c 65536 -f 0 >/tmp/log 2>&1 || fail create-ns
    nvme attach-ns /dev/nvme0 -n 1 -c "$(cat /sys/class/nvme/nvme0/cntlid)" >/tmp/log 2>&1 || fail attach-ns
    NO_ZONES=1 NAMESPACES=1 find_namespaces || fail "the new namespace does not come"
fi
cd /nvme-cli || fail "no tests here: run --python"
controller=${dev%n*}
[ "$DISK" = pci ] && pci=true || pci=false
printf '{ "controller": "/dev/%s", "ns1": "/dev/%s", "log_dir": "logs/", "do_validate_pci_device": %s }\n' "$controller" "$dev" $pci >tests/config.json
if [ -n "${UNMANAGED:-}" ]; then
    sed -i 's/^    def create_and_attach_default_ns(self):/&\n        return\n/' tests/nvme_test.py
fi
# the test gives a path where a number of a namespace is asked for, which nvme-cli refuses before any drive sees it
sed -i 's/--namespace-id={str(self.ns1)} /--namespace-id={self.default_nsid} /' tests/nvme_get_lba_status_test.py
# the test calculates with the bytes of a feature, which it has read as text, once a drive copies between namespaces
sed -i "/get_ns_id_cmd/,/get-ns-id failed/!s/encoding='utf-8'/encoding=None/" tests/nvme_copy_test.py
# what the kernel has to say would stand in the middle of the tests' lines
dmesg -n 1
bad=0
for file in tests/nvme_*_test.py; do
    name=$(basename $file .py)
    case $name in nvme_simple_template_test) continue ;; esac
    [ -z "${NVMECLI_TESTS:-}" ] || case " $NVMECLI_TESTS " in *" $name "*) ;; *) continue ;; esac
    before=$SECONDS
    PYTHONDONTWRITEBYTECODE=1 timeout 500 python3 -m nose2 --verbose --start-dir tests $name >/tmp/test 2>&1
    code=$?
    # nose2 prints each test with its outcome; one that did not come so far has failed
    if grep -qE '\.\.\. skipped' /tmp/test; then
        echo "NVMECLI $name SKIP $(sed -nE 's/.*\.\.\. skipped *//p' /tmp/test | head -1)"
    elif [ $code = 0 ] && grep -qE '^OK' /tmp/test; then
        echo "NVMECLI $name PASS $((SECONDS - before)) s"
    else
        echo "NVMECLI $name FAIL $(grep -vE '^ *$' /tmp/test | grep -E 'Error|rror:|NVMe status|timed out' | head -1 | cut -c1-150) (exit code $code)"
        bad=1
        sed 's/^/   /' /tmp/test | grep -v '^ *$' | tail -${NVMECLI_TAIL:-30}
        cat logs/*/std*.log 2>/dev/null | tail -10 | sed 's/^/   > /'
    fi
    rm -rf logs/*
done
dmesg | grep -iE 'nvme|I/O error' | tail -15
[ $bad = 0 ]
