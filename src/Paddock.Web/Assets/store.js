// The zones of a disk, and what they were during the last minutes.

const MAX_SAMPLES = 2400, MAX_CHANGES = 1 << 20, MAX_AGE = 10 * 60 * 1000;

// One value of each kind for each zone.
export class Zones {
  constructor(count) {
    this.count = count;
    this.condition = new Uint8Array(count);
    this.written = new Float64Array(count);
    this.writes = new Uint32Array(count);
    this.resets = new Uint32Array(count);
    this.reads = new Uint32Array(count);
  }

  // The packed reply of /api/zones.bin.
  static unpack(buffer) {
    const head = new DataView(buffer), count = head.getUint32(4, true), unit = head.getUint32(8, true);
    const array = index => new Uint32Array(buffer, 16 + index * 4 * count, count), zones = new Zones(count), written = array(0);
    for (let i = 0; i < count; i++) zones.written[i] = written[i] * unit;
    zones.writes.set(array(1));
    zones.resets.set(array(2));
    zones.reads.set(array(3));
    zones.condition.set(new Uint8Array(buffer, 16 + 16 * count, count));
    // what has happened since then, as frames
    const json = new TextDecoder().decode(new Uint8Array(buffer, 16 + 17 * count, head.getUint32(12, true)));
    return { stamp: head.getUint32(0, true), zones, frames: json === '' ? [] : JSON.parse(json) };
  }

  resized(count) {
    const zones = new Zones(count);
    for (const name of ['condition', 'written', 'writes', 'resets', 'reads'])
      zones[name].set(this[name].subarray(0, Math.min(count, this.count)));
    return zones;
  }

  copy() { return this.resized(this.count); }

  set(zone, [condition, written, writes, resets, reads]) {
    this.condition[zone] = condition;
    this.written[zone] = written;
    this.writes[zone] = writes;
    this.resets[zone] = resets;
    this.reads[zone] = reads;
  }

  get(zone) { return [this.condition[zone], this.written[zone], this.writes[zone], this.resets[zone], this.reads[zone]]; }
}

// Five numbers for each changed zone, before and after, so that time can go both ways.
class Changes {
  constructor(count) {
    this.zone = new Uint32Array(count);
    this.before = new Float64Array(count * 5);
    this.after = new Float64Array(count * 5);
  }

  apply(zones, values) {
    for (let i = 0; i < this.zone.length; i++)
      if (this.zone[i] < zones.count) zones.set(this.zone[i], values.subarray(i * 5, i * 5 + 5));
  }

  undo(zones) { this.apply(zones, this.before); }

  redo(zones) { this.apply(zones, this.after); }
}

export class Store {
  constructor(disk, unpacked) {
    this.disk = disk;
    this.live = unpacked?.zones ?? new Zones(0);
    this.stamp = unpacked?.stamp ?? 0;
    this.samples = [];
    this.changes = 0;
    this.events = [];
    this.lastEvent = 0;
    this.state = null;
    this.past = null;
    this.at = -1;
    for (const frame of unpacked?.frames ?? []) this.apply(frame);
  }

  get zones() { return this.past ?? this.live; }

  // The sample that is shown.
  get shown() { return this.at < 0 ? this.samples.at(-1) : this.samples[this.at]; }

  apply(frame) {
    this.stamp = frame.stamp;
    for (const event of frame.events ?? []) {
      this.events.unshift(event);
      this.lastEvent = event.number;
    }
    this.events.length = Math.min(this.events.length, 200);
    const disk = (frame.disks ?? []).find(d => d.name === this.disk);
    if (!disk) return;
    const count = disk.state?.zoned?.zone_count ?? this.live.count;
    if (count !== this.live.count) {
      this.live = this.live.resized(count);
      this.forget();
    }
    const changes = this.changed(disk.zones ?? []);
    if (disk.state) this.sample(frame, disk.state, changes);
    else if (this.samples.length > 0) this.samples.at(-1).more.push(changes);
  }

  changed(runs) {
    let total = 0;
    for (let r = 0; r < runs.length; r += 7) total += runs[r + 1];
    const tooMany = total > MAX_CHANGES / 4, changes = new Changes(tooMany ? 0 : total);
    let at = 0;
    for (let r = 0; r < runs.length; r += 7) {
      const values = [runs[r + 2], runs[r + 3], runs[r + 4], runs[r + 5], runs[r + 6]];
      for (let zone = runs[r]; zone < Math.min(runs[r] + runs[r + 1], this.live.count); zone++) {
        if (!tooMany) {
          changes.zone[at] = zone;
          changes.before.set(this.live.get(zone), at * 5);
          changes.after.set(values, at * 5);
          at++;
        }
        this.live.set(zone, values);
      }
    }
    if (tooMany) this.forget();
    this.changes += changes.zone.length;
    return changes;
  }

  // A sample has what the charts show: differences to the frame before.
  sample(frame, state, changes) {
    const before = this.state, seconds = before ? Math.max(0.001, (frame.time_ms - before.time_ms) / 1000) : 0;
    const kinds = {};
    for (const now of state.requests ?? []) {
      const was = before?.requests.find(k => k.kind === now.kind);
      const lost = !was || now.operations < was.operations;
      kinds[now.kind] = {
        iops: lost ? 0 : (now.operations - was.operations) / seconds,
        bytes: lost ? 0 : (now.bytes - was.bytes) / seconds,
        errors: now.errors,
        latency: Uint32Array.from(now.latency, (n, i) => (lost ? 0 : n - was.latency[i])),
      };
    }
    this.state = { ...state, time_ms: frame.time_ms };
    // the counts of all latency classes are in kinds, as differences
    this.samples.push({ time: frame.time_ms, kinds, state: { ...state, requests: null }, changes, more: [] });
    if (this.samples.length > 2 * MAX_SAMPLES || this.changes > 2 * MAX_CHANGES) this.show(null);
    const oldest = frame.time_ms - MAX_AGE;
    while (this.at < 0 && this.samples.length > 1
      && (this.samples.length > MAX_SAMPLES || this.changes > MAX_CHANGES || this.samples[0].time < oldest)) this.drop();
  }

  drop() {
    const first = this.samples.shift();
    this.changes -= first.changes.zone.length + first.more.reduce((sum, c) => sum + c.zone.length, 0);
  }

  // What was before cannot be shown any more: the disk has another size, or too much has changed at once.
  forget() {
    this.past = null;
    this.at = -1;
    this.samples = this.samples.slice(-1).map(s => ({ ...s, changes: new Changes(0), more: [] }));
    this.changes = 0;
  }

  // Shows the state after a sample; null: the present.
  show(index) {
    if (index === null || index >= this.samples.length - 1) {
      this.past = null;
      this.at = -1;
      return;
    }
    let at = this.at;
    if (!this.past) {
      this.past = this.live.copy();
      at = this.samples.length - 1;
    }
    for (; at > index; at--) {
      for (const changes of [...this.samples[at].more].reverse()) changes.undo(this.past);
      this.samples[at].changes.undo(this.past);
    }
    for (; at < index; at++) {
      this.samples[at + 1].changes.redo(this.past);
      for (const changes of this.samples[at + 1].more) changes.redo(this.past);
    }
    this.at = index;
  }
}
