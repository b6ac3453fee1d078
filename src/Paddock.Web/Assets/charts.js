// Two small charts on canvases: traffic over time, and a histogram of latencies.
import { bytes, count, duration } from './format.js';

const KIND_COLOURS = { read: '--implicit', write: '--explicit', append: '--full', zone: '--readonly', flush: '--conventional', other: '--closed' };

function prepare(canvas) {
  const ratio = Math.max(1, window.devicePixelRatio), width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d'), style = getComputedStyle(document.documentElement);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '11px system-ui, sans-serif';
  return { context, width, height, colour: name => style.getPropertyValue(name).trim() };
}

// Throughput of reads, and of writes with appends; the shown moment as a line.
export function drawTraffic(canvas, store) {
  const { context, width, height, colour } = prepare(canvas), samples = store.samples;
  if (samples.length < 2) return;
  const start = samples[0].time, span = Math.max(1, samples.at(-1).time - start);
  const lines = [['read', ['read']], ['write', ['write', 'append', 'other']]];
  const value = (sample, kinds) => kinds.reduce((sum, kind) => sum + (sample.kinds[kind]?.bytes ?? 0), 0);
  let most = 1;
  for (const sample of samples) for (const [, kinds] of lines) most = Math.max(most, value(sample, kinds));
  for (const [name, kinds] of lines) {
    context.beginPath();
    context.strokeStyle = colour(KIND_COLOURS[name]);
    context.lineWidth = 1.5;
    context.setLineDash(name === 'read' ? [] : [5, 2]);
    for (const sample of samples)
      context.lineTo((sample.time - start) / span * width, height - 4 - value(sample, kinds) / most * (height - 22));
    context.stroke();
  }
  context.setLineDash([]);
  const shown = store.shown;
  context.fillStyle = colour('--mark');
  context.fillRect((shown.time - start) / span * (width - 1), 0, 1, height);
  context.fillStyle = colour('--quiet');
  context.fillText(`${bytes(most)}/s, last ${Math.round(span / 1000)} s — reads solid, writes dashed`, 6, 12);
  canvas.setAttribute('aria-label', `Throughput over the last ${Math.round(span / 1000)} seconds: `
    + lines.map(([name, kinds]) => `${name} ${bytes(value(shown, kinds))} per second`).join(', '));
}

// The latencies of the last seconds before the shown moment.
export function latencyOf(store, kind, seconds = 10) {
  const shown = store.shown, sum = new Float64Array(96);
  if (!shown) return sum;
  const end = store.at < 0 ? store.samples.length - 1 : store.at;
  for (let i = end; i >= 0 && store.samples[i].time > shown.time - seconds * 1000; i--)
    for (const [name, { latency }] of Object.entries(store.samples[i].kinds))
      if (kind === 'all' || kind === name) latency.forEach((n, c) => { sum[c] += n; });
  return sum;
}

export function percentile(classes, bounds, part) {
  const total = classes.reduce((sum, n) => sum + n, 0);
  if (total === 0) return null;
  let below = 0;
  for (let i = 0; i < classes.length; i++) {
    below += classes[i];
    if (below >= total * part) return bounds[Math.min(i, bounds.length - 1)];
  }
  return bounds.at(-1);
}

export function drawLatency(canvas, classes, bounds) {
  const { context, width, height, colour } = prepare(canvas);
  const used = [...classes.keys()].filter(i => classes[i] > 0);
  if (used.length === 0) {
    context.fillStyle = colour('--quiet');
    context.fillText('no requests in the last 10 s', 6, 14);
    return;
  }
  const first = Math.max(0, used[0] - 2), last = Math.min(classes.length - 1, used.at(-1) + 2), most = Math.max(...classes);
  const bar = width / (last - first + 1);
  context.fillStyle = colour('--implicit');
  for (let i = first; i <= last; i++) {
    const tall = classes[i] / most * (height - 30);
    context.fillRect((i - first) * bar, height - 14 - tall, Math.max(1, bar - 1), tall);
  }
  context.fillStyle = colour('--quiet');
  context.fillText(duration(bounds[first]), 2, height - 2);
  const end = duration(bounds[Math.min(last, bounds.length - 1)]);
  context.fillText(end, width - context.measureText(end).width - 2, height - 2);
  context.fillText(`${count(most)} in the highest bar`, 6, 12);
}
