# The kernel's own NVMe/TCP target, on a zoned null block device that keeps its data in memory; it serves until the host ends this guest.
. /cases/common.sh
modprobe configfs; modprobe null_blk nr_devices=0; modprobe nvmet; modprobe nvmet-tcp
mount -t configfs config /sys/kernel/config 2>/dev/null
device=/sys/kernel/config/nullb/nullb0 target=/sys/kernel/config/nvmet
mkdir $device || fail "no null_blk"
for pair in memory_backed=1 zoned=1 size=1024 zone_size=32 zone_max_open=14 zone_max_active=14 power=1; do
    echo "${pair#*=}" >$device/${pair%=*} || fail "$pair"
done
mkdir $target/subsystems/$NQN && echo 1 >$target/subsystems/$NQN/attr_allow_any_host || fail "no subsystem"
mkdir $target/subsystems/$NQN/namespaces/1 && echo /dev/nullb0 >$target/subsystems/$NQN/namespaces/1/device_path \
    && echo 1 >$target/subsystems/$NQN/namespaces/1/enable || fail "no namespace"
mkdir $target/ports/1
for pair in addr_trtype=tcp addr_adrfam=ipv4 addr_traddr=0.0.0.0 addr_trsvcid=4420; do echo "${pair#*=}" >$target/ports/1/${pair%=*} || fail "$pair"; done
ln -s $target/subsystems/$NQN $target/ports/1/subsystems/ || fail "no port"
echo "READY"
sleep 100000
