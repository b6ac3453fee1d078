. /cases/common.sh
modprobe nvme-tcp
nvme discover -t tcp -a "$ADDRESS" -s "$PORT" >/tmp/log || fail "discover"
grep -q "subnqn:  *$NQN" /tmp/log || { cat /tmp/log; fail "the subsystem is not in the log"; }
