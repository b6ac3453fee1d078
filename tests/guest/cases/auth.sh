# Linux authenticates at servers that ask for it, one way and both, with each hash and group, and again while it is connected;
# without a key, with a wrong one, or when the controller has a wrong one, nothing is connected.
. /cases/common.sh
modprobe nvme-tcp
refused() {
    local what=$1
    shift
    nvme connect -t tcp -a "$ADDRESS" -s "$PORT" -n "$NQN" -q "$host" -l 5 "$@" >/tmp/log 2>&1 && fail "$what: it is connected"
    [ -z "$(ls /sys/class/nvme)" ] || fail "$what: a controller is left"
}
works() {
    dd if=/dev/urandom of=/tmp/data bs=64k count=4 2>/dev/null
    blkzone reset "/dev/$dev" || fail "$what: reset"
    dd if=/tmp/data of="/dev/$dev" bs=64k oflag=direct conv=notrunc 2>/dev/null || fail "$what: write"
    dd if="/dev/$dev" of=/tmp/back bs=64k count=4 iflag=direct 2>/dev/null || fail "$what: read"
    cmp /tmp/data /tmp/back || fail "$what: what was written does not read back"
}
told() { dmesg | grep -c "$1"; }
host=$HOST
wrong=DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:
for server in $AUTH_SERVERS; do
    IFS=: read -r PORT hash group key ctrl <<<"$server"
    key=${key//|/:} ctrl=${ctrl//|/:}
    what="$hash $group"
    connect -S "$key" || fail "$what: connect"
    dmesg | grep -q "authenticated with hash hmac($hash) dhgroup $group" || fail "$what: the kernel agreed on something else"
    works
    nvme disconnect -n "$NQN" >/dev/null
    before=$(told 'controller authenticated')
    connect -S "$key" -C "$ctrl" || fail "$what: connect both ways"
    [ "$(told 'controller authenticated')" -gt "$before" ] || fail "$what: the controller did not prove itself"
    works
    # a key that is written, though it is the same, makes the kernel authenticate every queue again
    before=$(told 'controller authenticated')
    for secret in /sys/class/nvme/nvme*/dhchap_secret; do echo "$key" >"$secret"; done
    for tries in $(seq 100); do [ "$(told 'controller authenticated')" -gt "$before" ] && break; sleep 0.1; done
    [ "$(told 'controller authenticated')" -gt "$before" ] || fail "$what: it did not authenticate again"
    sleep 1
    works
    [ "$(cat /sys/class/nvme/nvme*/state)" = live ] || fail "$what: the controller is $(cat /sys/class/nvme/nvme*/state)"
    nvme disconnect -n "$NQN" >/dev/null
    case $group in
        null | ffdhe2048)
            refused "$what without a key"
            refused "$what with a wrong key" -S "$wrong"
            refused "$what where the controller has another key" -S "$key" -C "$wrong"
            ;;
    esac
    say "$what: one way, both ways, again"
done
! dmesg | grep -qE 'authentication failed|I/O error' || [ "$(told 'qid [1-9].*authentication failed')" = 0 ] || fail "a queue failed to authenticate"
