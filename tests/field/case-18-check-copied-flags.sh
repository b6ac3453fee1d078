. "$(dirname "$(readlink -f "$0")")/lib.sh"
# A mapping that points into another cluster: check -r all must repair the copied flags of the table around it (the peer does), so that the second run finds fewer errors.
need qemu-img
pattern 101 1048576 > s.raw; qemu-img convert -f raw -O qcow2 s.raw g.qcow2
python3 - <<'P'
import struct
f = open('g.qcow2', 'r+b'); f.seek(40); l1 = struct.unpack('>Q', f.read(8))[0]
f.seek(l1); l2 = struct.unpack('>Q', f.read(8))[0] & 0x00fffffffffffe00
f.seek(l2 + 24); e = struct.unpack('>Q', f.read(8))[0]; f.seek(l2 + 24); f.write(struct.pack('>Q', e | 0x10200))
P
cp g.qcow2 q.qcow2
"$PADDOCK" img check -r all g.qcow2 >/dev/null 2>&1; "$PADDOCK" img check -r all g.qcow2 > mine 2>&1
qemu-img check -r all q.qcow2 >/dev/null 2>&1; qemu-img check -r all q.qcow2 > peer 2>&1
a=$(grep -ac OFLAG_COPIED mine); b=$(grep -ac OFLAG_COPIED peer); echo "wrong flags left: $a, the peer: $b"
[ "$a" -le "$b" ] && good "flags repaired" || fault "flags that say 'not shared' stay on shared clusters, however often it is repaired"
finish
