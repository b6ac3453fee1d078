// Gets the zones packed, then follows the changes as server-sent events; starts again when the connection is lost.
import { Store, Zones } from './store.js';

const RETRY_MS = 2000;

export class Feed {
  constructor(onStore, onFrame, onLink) {
    Object.assign(this, { onStore, onFrame, onLink, generation: 0, source: null });
  }

  async start(disk, zoned) {
    const generation = ++this.generation;
    this.source?.close();
    try {
      let unpacked = null;
      if (zoned) {
        const reply = await fetch(`/api/zones.bin?past=true&disk=${encodeURIComponent(disk)}`);
        if (!reply.ok) throw new Error((await reply.json()).error);
        unpacked = Zones.unpack(await reply.arrayBuffer());
      }
      if (generation === this.generation) this.follow(disk, zoned, new Store(disk, unpacked), generation);
    } catch (error) {
      this.retry(disk, zoned, generation, error.message);
    }
  }

  follow(disk, zoned, store, generation) {
    this.onStore(store);
    const known = zoned ? `&stamp=${store.stamp}&event=${store.lastEvent}` : '';
    this.source = new EventSource(`/api/events?disk=${encodeURIComponent(disk)}&interval=200${known}`);
    this.source.onopen = () => this.onLink('live');
    this.source.onmessage = message => {
      if (generation !== this.generation) return;
      const frame = JSON.parse(message.data);
      store.apply(frame);
      this.onFrame(store, frame);
    };
    this.source.onerror = () => {
      // the zones may have changed meanwhile: begin with a new snapshot
      this.source.close();
      this.retry(disk, zoned, generation, 'connection lost');
    };
  }

  retry(disk, zoned, generation, why) {
    if (generation !== this.generation) return;
    this.onLink(`${why}; trying again`, true);
    setTimeout(() => { if (generation === this.generation) this.start(disk, zoned); }, RETRY_MS);
  }
}
