import { CONDITIONS, STATES, nameOf } from './conditions.js';
import { drawLatency, drawTraffic, latencyOf, percentile } from './charts.js';
import { Feed } from './feed.js';
import { bytes, clock, count, duration } from './format.js';
import { ZoneMap } from './map.js';
import { ZoneTable } from './table.js';

const by = id => document.getElementById(id);
const KINDS = ['read', 'write', 'append', 'zone', 'flush', 'other'];
const ACTIONS = ['open', 'close', 'finish', 'reset', 'readonly', 'offline', 'restore'];

const map = new ZoneMap(by('map'), by('cells'), by('room'));
const table = new ZoneTable({
  box: by('table'), filter: by('filter'), back: by('back'), forth: by('forth'), pageOf: by('page-of'), rows: by('rows'),
});
let store = null, bounds = [], disks = [], shownEvents = 0;

const feed = new Feed(
  fresh => {
    store = table.store = fresh;
    map.setStore(fresh);
    shownEvents = 0;
    by('events').replaceChildren();
  },
  (_, frame) => {
    map.invalidate();
    if (!frame.more) update();
  },
  (text, lost = false) => {
    by('link').textContent = text;
    by('link').classList.toggle('lost', lost);
  });

async function start() {
  const [about, stats] = await Promise.all(['/api/disks', '/api/stats'].map(async path => (await fetch(path)).json()));
  disks = about.disks;
  bounds = stats.latency_bounds_us;
  by('disk').replaceChildren(...disks.map(disk => new Option(disk.name, disk.name)));
  by('control').hidden = !about.control;
  choose(disks[0].name);
}

function choose(name) {
  const disk = disks.find(d => d.name === name);
  feed.start(name, Boolean(disk.zoned));
}

// Everything but the map, which draws itself.
function update() {
  const shown = store.shown;
  if (!shown) return;
  const zoned = shown.state.zoned;
  stateOf(shown.state.state);
  by('summary').textContent = `${shown.state.image.split('/').at(-1)}: ${bytes(shown.state.size)}`
    + (zoned ? `, ${zoned.zone_count} zones of ${bytes(zoned.zone_size)}` : ', no zones') + (shown.state.read_only ? ', read-only' : '');
  gauges(shown);
  legend(zoned);
  const classes = latencyOf(store, by('kind').value);
  drawLatency(by('latency'), classes, bounds);
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map(part => percentile(classes, bounds, part));
  by('percentiles').textContent = p50 === null ? '' : `p50 ${duration(p50)}, p99 ${duration(p99)}, p99.9 ${duration(p999)}`;
  by('latency').setAttribute('aria-label', p50 === null ? 'Latency histogram: no requests' : `Latency: ${by('percentiles').textContent}`);
  drawTraffic(by('traffic'), store);
  timeLine(shown);
  events();
  details();
  table.draw();
}

// a status is read aloud when it is set: only when it has changed
function stateOf(state) {
  const text = STATES.get(state) ?? (state === 'active' ? '' : state);
  if (by('state').textContent !== text) by('state').textContent = text;
}

function gauges(shown) {
  const { state, kinds } = shown, zoned = state.zoned, limit = (used, most) => (most ? `${used} of ${most}` : `${used} (no limit)`);
  const lines = [['State', state.state]];
  if (zoned) lines.push(['Open zones', limit(zoned.open, zoned.max_open)], ['Active zones', limit(zoned.active, zoned.max_active)]);
  for (const kind of KINDS) {
    const now = kinds[kind];
    if (now) lines.push([kind, `${count(now.iops)}/s, ${bytes(now.bytes)}/s${now.errors ? `, ${now.errors} errors` : ''}`]);
  }
  lines.push(['Write amplification', state.write_amplification?.toFixed(2) ?? '–'], ['Space on disk', bytes(state.file_bytes)]);
  list(by('gauges'), lines);
}

function list(target, lines) {
  target.replaceChildren(...lines.flatMap(([name, value]) => {
    const [term, text] = [document.createElement('dt'), document.createElement('dd')];
    term.textContent = name;
    text.textContent = value;
    return [term, text];
  }));
}

function legend(zoned) {
  const parts = map.mode === 'state'
    ? [...CONDITIONS.values()].map(c => [c.colour, c.mark, `${c.name} ${zoned?.conditions[c.name] ?? 0}`])
    : [['--cold', '', 'none'], [null, '', `dark: few, bright: many (most ${map.mode === 'fill' ? bytes(map.most ?? 0) : map.most ?? 0})`]];
  by('legend').replaceChildren(...parts.map(([colour, mark, text]) => {
    const [item, sample] = [document.createElement('span'), document.createElement('i')];
    sample.style.background = colour ? `var(${colour})` : 'linear-gradient(90deg, #440154, #21918c, #fde725)';
    sample.textContent = mark;
    item.append(sample, text);
    return item;
  }));
}

function timeLine(shown) {
  const [slider, past] = [by('when'), store.at >= 0];
  slider.max = Math.max(0, store.samples.length - 1);
  slider.value = past ? store.at : slider.max;
  by('shown').textContent = past ? clock(shown.time) : 'live';
  by('live').disabled = !past;
  by('play').disabled = !past;
  slider.setAttribute('aria-valuetext', past ? clock(shown.time) : 'live');
}

function events() {
  if (store.lastEvent === shownEvents) return;
  shownEvents = store.lastEvent;
  by('events').replaceChildren(...store.events.slice(0, 50).map(event => {
    const [line, time] = [document.createElement('li'), document.createElement('time')];
    time.textContent = clock(event.time_ms);
    const facts = Object.entries(event.facts).map(([name, value]) => `${name}=${value}`).join(' ');
    line.append(time, `${event.event} ${facts}`);
    return line;
  }));
}

function details() {
  const zone = map.selected;
  if (zone < 0 || zone >= store.zones.count) return;
  const [condition, written, writes, resets, reads] = store.zones.get(zone), zoned = store.state.zoned;
  const start = zone * zoned.zone_size;
  list(by('details'), [
    ['Zone', zone], ['Condition', nameOf(condition)], ['Start', `0x${start.toString(16)}`],
    ['Write pointer', condition === 0 ? '–' : `0x${(start + (condition === 14 ? zoned.zone_size : written)).toString(16)}`],
    ['Written', `${bytes(written)} of ${bytes(zoned.zone_capacity)} (${(written / zoned.zone_capacity * 100).toFixed(1)} %)`],
    ['Writes', writes], ['Resets', resets], ['Reads', reads],
  ]);
}

function select(zone) {
  if (zone < 0 || !store || store.zones.count === 0) return;
  map.select(zone);
  by('announce').textContent = map.describe(map.selected);
  details();
}

function setMode(mode) {
  map.mode = by('mode').value = mode;
  map.counted = null;
  map.invalidate();
  requestAnimationFrame(() => update());
}

function showTable(on) {
  by('table').hidden = !on;
  by('map').hidden = on;
  by('as-table').setAttribute('aria-pressed', String(on));
  if (on) table.go(map.selected > 0 && by('filter').value === '' ? map.selected - map.selected % 100 : 0);
  else map.layOut();
}

function showTime(index) {
  store.show(index);
  map.invalidate();
  update();
}

function play() {
  if (store.at < 0) return;
  const [now, next] = [store.samples[store.at], store.samples[store.at + 1]];
  showTime(store.at + 1);
  if (store.at >= 0 && by('play').textContent === 'Pause')
    setTimeout(play, Math.max(16, (next.time - now.time) / Number(by('speed').value)));
  else by('play').textContent = 'Play';
}

async function act(action) {
  const reply = await fetch('/api/control', {
    method: 'POST',
    headers: { Authorization: `Bearer ${by('token').value}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ disk: store.disk, action, zone: map.selected }),
  });
  const answer = await reply.json();
  by('done').textContent = answer.done ?? answer.error;
}

function bind() {
  by('kind').append(new Option('all requests', 'all'), ...KINDS.map(kind => new Option(kind, kind)));
  by('kind').addEventListener('change', update);
  by('disk').addEventListener('change', event => choose(event.target.value));
  by('mode').addEventListener('change', event => setMode(event.target.value));
  by('smaller').addEventListener('click', () => map.zoom(-1));
  by('larger').addEventListener('click', () => map.zoom(1));
  by('goto').addEventListener('change', event => { if (event.target.value !== '') select(Number(event.target.value)); });
  by('as-table').addEventListener('click', () => showTable(by('table').hidden));
  by('cells').addEventListener('click', event => select(map.zoneAt(event.offsetX, event.offsetY)));
  by('when').addEventListener('input', event => showTime(Number(event.target.value)));
  by('live').addEventListener('click', () => showTime(null));
  by('play').addEventListener('click', () => {
    const playing = by('play').textContent === 'Pause';
    by('play').textContent = playing ? 'Play' : 'Pause';
    if (!playing) play();
  });
  by('actions').append(...ACTIONS.map(action => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action;
    button.addEventListener('click', () => act(action));
    return button;
  }));
  by('control').addEventListener('submit', event => event.preventDefault());
  by('map').addEventListener('keydown', keys);
  theme();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const page = Math.max(1, Math.floor(by('map').clientHeight / map.size)) * map.columns, at = map.selected;
  const moves = {
    ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - map.columns, ArrowDown: at < 0 ? 0 : at + map.columns,
    PageUp: at - page, PageDown: at + page, Home: 0, End: map.count - 1,
  };
  const modes = [...by('mode').options].map(option => option.value);
  if (event.key in moves) select(Math.max(0, moves[event.key]));
  else if (event.key === '+') map.zoom(1);
  else if (event.key === '-') map.zoom(-1);
  else if (event.key === 'm' || event.key === 'M') setMode(modes[(modes.indexOf(map.mode) + 1) % modes.length]);
  else if (event.key === 't' || event.key === 'T') {
    showTable(true);
    by('as-table').focus();
  } else return;
  event.preventDefault();
}

// the system's preference, until the button is used
function theme() {
  const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)');
  const repaint = () => {
    map.readColours();
    if (store) update();
  };
  root.dataset.theme = localStorage.getItem('theme') ?? '';
  dark.addEventListener('change', repaint);
  by('theme').addEventListener('click', () => {
    const isDark = root.dataset.theme === 'dark' || (root.dataset.theme !== 'light' && dark.matches);
    root.dataset.theme = isDark ? 'light' : 'dark';
    localStorage.setItem('theme', root.dataset.theme);
    repaint();
  });
  repaint();
}

// for tests and for curious users: what the page knows
window.paddock = {
  map,
  get store() { return store; },
  zone: zone => ({ condition: nameOf(store.live.condition[zone]), written: store.live.written[zone], resets: store.live.resets[zone] }),
};

bind();
start().catch(error => {
  by('link').textContent = `cannot start: ${error.message}; reload the page`;
  by('link').classList.add('lost');
});
