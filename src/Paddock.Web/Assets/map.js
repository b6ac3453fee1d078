// The map: one cell for each zone, drawn as pixels, and only those that are in view.
import { CONDITIONS, nameOf } from './conditions.js';

const SIZES = [2, 3, 4, 6, 8, 12, 16, 24];
// from dark blue over green to yellow: lightness rises evenly, so that colour vision does not matter
const HEAT = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

export class ZoneMap {
  constructor(box, canvas, room) {
    Object.assign(this, { box, canvas, room, store: null, mode: 'state', selected: -1, size: 4, frames: 0, dirty: true });
    this.context = canvas.getContext('2d', { alpha: false });
    this.ratio = Math.max(1, Math.round(window.devicePixelRatio));
    this.readColours();
    box.addEventListener('scroll', () => this.invalidate());
    new ResizeObserver(() => this.layOut()).observe(box);
    const loop = () => {
      if (this.dirty) this.draw();
      requestAnimationFrame(loop);
    };
    requestAnimationFrame(loop);
  }

  invalidate() { this.dirty = true; }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    const pixel = name => {
      const [r, g, b] = [1, 3, 5].map(at => parseInt(style.getPropertyValue(name).trim().slice(at, at + 2), 16));
      return toPixel(r, g, b);
    };
    this.rest = pixel('--rest');
    // a zone that the server has not seen has no condition
    this.colours = new Uint32Array(256).fill(this.rest);
    for (const [number, { colour }] of CONDITIONS) this.colours[number] = pixel(colour);
    this.cold = pixel('--cold');
    this.back = pixel('--panel');
    this.mark = pixel('--mark');
    this.scale = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const at = i / 255 * (HEAT.length - 1), low = Math.min(Math.floor(at), HEAT.length - 2), part = at - low;
      this.scale[i] = toPixel(...[0, 1, 2].map(c => Math.round(HEAT[low][c] + (HEAT[low + 1][c] - HEAT[low][c]) * part)));
    }
    this.invalidate();
  }

  setStore(store) {
    const fresh = this.store?.disk !== store.disk;
    this.store = store;
    if (fresh) {
      this.selected = -1;
      const count = store.zones.count;
      this.size = count > 300000 ? 4 : count > 20000 ? 6 : count > 256 ? 12 : 24;
    }
    this.layOut();
  }

  zoom(step) {
    const at = SIZES.indexOf(this.size) + step;
    if (at < 0 || at >= SIZES.length) return;
    const first = this.selected >= 0 ? this.selected : this.firstVisible();
    this.size = SIZES[at];
    this.layOut();
    this.reveal(first);
  }

  // rows of 64 or a multiple of it, so that the eye can count; less where there is no room
  layOut() {
    const width = this.box.clientWidth, height = this.box.clientHeight;
    if (width === 0 || height === 0) return;
    const fit = Math.max(1, Math.floor(width / this.size));
    this.columns = fit >= 64 ? fit - fit % 64 : fit >= 8 ? fit - fit % 8 : fit;
    this.count = this.store?.zones.count ?? 0;
    this.rows = Math.ceil(this.count / this.columns);
    this.canvas.width = width * this.ratio;
    this.canvas.height = height * this.ratio;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.room.style.height = `${Math.max(0, this.rows * this.size - height)}px`;
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.invalidate();
  }

  firstVisible() { return Math.floor(this.box.scrollTop / this.size) * (this.columns ?? 1); }

  reveal(zone) {
    const top = Math.floor(zone / this.columns) * this.size, height = this.box.clientHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.size > this.box.scrollTop + height) this.box.scrollTop = top + this.size - height;
    this.invalidate();
  }

  zoneAt(x, y) {
    const column = Math.floor(x / this.size), row = Math.floor((y + this.box.scrollTop) / this.size);
    const zone = row * this.columns + column;
    return column < this.columns && zone < this.count ? zone : -1;
  }

  select(zone) {
    this.selected = Math.max(0, Math.min(zone, this.count - 1));
    this.reveal(this.selected);
  }

  draw() {
    this.dirty = false;
    this.frames++;
    if (!this.pixels || !this.store) return;
    if (this.store.zones.count !== this.count) this.layOut();
    this.pixels.fill(this.back);
    const cell = this.size * this.ratio, gap = cell >= 6 ? this.ratio : 0, top = Math.round(this.box.scrollTop * this.ratio);
    const first = Math.floor(top / cell), last = Math.min(this.rows - 1, Math.floor((top + this.canvas.height - 1) / cell));
    this.prepare();
    for (let row = first; row <= last; row++) {
      const y = row * cell - top, end = Math.min(this.count, (row + 1) * this.columns);
      if (this.mode !== 'state' || cell < 6) this.plainRow(row * this.columns, end, y, cell, gap);
      else for (let zone = row * this.columns, x = 0; zone < end; zone++, x += cell) this.stateCell(zone, x, y, cell - gap);
    }
    if (this.selected >= 0) this.frame(this.selected, cell, top);
    this.context.putImageData(this.image, 0, 0);
  }

  // what is the same for all cells of a frame
  prepare() {
    const state = this.store.shown?.state ?? this.store.state;
    this.capacity = Math.max(1, state?.zoned?.zone_capacity ?? 1);
    const values = { fill: 'written', writes: 'writes', resets: 'resets', reads: 'reads' }[this.mode];
    this.values = values ? this.store.zones[values] : null;
    if (this.mode === 'fill') this.most = this.capacity;
    else if (values && this.counted !== this.store.stamp) {
      this.counted = this.store.stamp;
      let most = 1;
      for (const value of this.values) if (value > most) most = value;
      this.most = most;
    } else if (values && !this.most) this.most = 1;
  }

  // cells of one colour each: one line of the row is computed, the others are copies of it
  plainRow(first, end, y, cell, gap) {
    const { pixels, canvas: { width, height } } = this, top = Math.max(0, y), bottom = Math.min(height, y + cell - gap);
    if (top >= bottom) return;
    const isState = this.mode === 'state', condition = this.store.zones.condition, start = top * width;
    for (let zone = first, at = start; zone < end; zone++, at += cell) {
      const colour = isState ? this.colours[condition[zone]] : this.heat(this.values[zone]);
      for (let x = at; x < at + cell - gap; x++) pixels[x] = colour;
    }
    for (let line = top + 1; line < bottom; line++) pixels.copyWithin(line * width, start, start + (end - first) * cell);
  }

  stateCell(zone, x, y, size) {
    const zones = this.store.zones, condition = zones.condition[zone], colour = this.colours[condition];
    if (condition === 0 || condition === 1 || condition === 14 || condition === 15) {
      this.fill(x, y, size, size, colour);
    } else {
      // a part of the cell for the part that is written, one pixel at least
      const part = Math.min(size, Math.max(Math.ceil(size / 4), Math.round(zones.written[zone] / this.capacity * size)));
      this.fill(x, y, size, size - part, this.rest);
      this.fill(x, y + size - part, size, part, colour);
    }
    if (size >= 7) this.sign(condition, x, y, size);
  }

  // signs beside the colours: a dot for explicitly open, a bar for read only, a cross for offline
  sign(condition, x, y, size) {
    const dot = Math.max(2, size >> 2), middle = (size - dot) >> 1;
    if (condition === 3) this.fill(x + middle, y + middle, dot, dot, this.mark);
    else if (condition === 13) this.fill(x + 1, y + middle, size - 2, dot >> 1 || 1, this.mark);
    else if (condition === 15)
      for (let i = 1; i < size - 1; i++) {
        this.fill(x + i, y + i, 1, 1, this.mark);
        this.fill(x + size - 1 - i, y + i, 1, 1, this.mark);
      }
  }

  heat(value) {
    if (value === 0) return this.cold;
    const level = this.mode === 'fill' ? value / this.most : Math.log1p(value) / Math.log1p(this.most);
    return this.scale[Math.min(255, Math.round(level * 255))];
  }

  frame(zone, cell, top) {
    const x = zone % this.columns * cell, y = Math.floor(zone / this.columns) * cell - top, wide = Math.max(1, this.ratio);
    this.fill(x - wide, y - wide, cell + wide, wide, this.mark);
    this.fill(x - wide, y + cell - wide, cell + wide, wide, this.mark);
    this.fill(x - wide, y - wide, wide, cell + wide, this.mark);
    this.fill(x + cell - wide, y - wide, wide, cell + wide, this.mark);
  }

  fill(x, y, width, height, colour) {
    const stride = this.canvas.width, right = Math.min(x + width, stride), bottom = Math.min(y + height, this.canvas.height);
    const left = Math.max(0, x);
    for (let line = Math.max(0, y); line < bottom; line++) this.pixels.fill(colour, line * stride + left, line * stride + right);
  }

  describe(zone) {
    const zones = this.store.zones;
    return `zone ${zone}, ${nameOf(zones.condition[zone])}, ${(zones.written[zone] / this.capacity * 100).toFixed(1)} percent written, `
      + `${zones.writes[zone]} writes, ${zones.resets[zone]} resets, ${zones.reads[zone]} reads`;
  }
}

function toPixel(r, g, b) { return (255 << 24 | b << 16 | g << 8 | r) >>> 0; }
