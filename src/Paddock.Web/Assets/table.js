// The zones as a table, a hundred at a time: the alternative to the map.
import { CONDITIONS, nameOf } from './conditions.js';
import { bytes } from './format.js';

const ROWS = 100;

export class ZoneTable {
  constructor(elements) {
    Object.assign(this, elements, { store: null, first: 0 });
    for (const [number, { name }] of CONDITIONS) this.filter.add(new Option(name, number));
    this.filter.addEventListener('change', () => this.go(0));
    this.back.addEventListener('click', () => this.go(Math.max(0, this.first - ROWS)));
    this.forth.addEventListener('click', () => this.go(this.first + ROWS));
  }

  go(first) {
    this.first = first;
    this.draw();
  }

  draw() {
    if (this.box.hidden || !this.store) return;
    const zones = this.store.zones, wanted = this.filter.value, shown = [];
    let matching = 0;
    for (let zone = 0; zone < zones.count; zone++) {
      if (wanted !== '' && zones.condition[zone] !== Number(wanted)) continue;
      if (matching >= this.first && shown.length < ROWS) shown.push(zone);
      matching++;
    }
    this.back.disabled = this.first === 0;
    this.forth.disabled = this.first + ROWS >= matching;
    this.pageOf.textContent = matching === 0 ? 'no zone' : `${this.first + 1} to ${this.first + shown.length} of ${matching}`;
    const capacity = Math.max(1, this.store.state?.zoned?.zone_capacity ?? 1);
    this.rows.replaceChildren(...shown.map(zone => row(zones, zone, capacity)));
  }
}

function row(zones, zone, capacity) {
  const line = document.createElement('tr');
  const cells = [zone, nameOf(zones.condition[zone]), bytes(zones.written[zone]), `${(zones.written[zone] / capacity * 100).toFixed(1)} %`,
    zones.writes[zone], zones.resets[zone], zones.reads[zone]];
  for (const [index, text] of cells.entries()) {
    const cell = document.createElement(index === 0 ? 'th' : 'td');
    if (index === 0) cell.scope = 'row';
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}
