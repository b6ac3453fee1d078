# filesystem.sh MKFS MOUNT FSCK: makes it, fills it, mounts it again, compares, checks
. /cases/common.sh
cycle() {
    local megabytes=$1 kind=$2 options=$3
    mkdir -p /mnt/t
    mount -t "$kind" ${options:+-o $options} "/dev/$dev" /mnt/t || fail "mount"
    for i in $(seq 4); do dd if=/dev/urandom of=/mnt/t/file$i bs=1M count=$((megabytes / 4)) 2>/dev/null || fail "write"; done
    (cd /mnt/t && sha256sum file* >/tmp/sums) || fail "read"
    rm /mnt/t/file2; sed -i '/file2/d' /tmp/sums
    sync
    umount /mnt/t || fail umount
    mount -t "$kind" ${options:+-o $options} "/dev/$dev" /mnt/t || fail "mount again"
    (cd /mnt/t && sha256sum -c /tmp/sums >/dev/null) || fail "the files changed"
}
