// Plays fragmented MP4 while it comes, close to now, whatever the network does.

/** Further behind than this, in seconds, it jumps to now; */
const JUMP = 2;
/** a little behind, it plays a little faster. */
const HURRY = 0.9;
/** So many seconds that were shown are kept, at most. */
const KEPT = 10;

// iPhones have only the managed one.
const Source = window.MediaSource ?? window.ManagedMediaSource;

/** Whether this browser can play such a stream. */
export function playable(mime) {
  return Boolean(Source?.isTypeSupported(mime));
}

/** Cuts a stream into whole boxes: gives { media: bytes, notes: [objects for a person] }. */
export async function* pieces(stream) {
  const reader = stream.getReader();
  let rest = new Uint8Array(0);
  try {
    for (let part; !(part = await reader.read()).done;) {
      const [media, notes, after] = cut(join(rest, part.value));
      rest = after;
      yield { media, notes };
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function join(one, other) {
  if (!one.length) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

function cut(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const notes = [];
  let media = new Uint8Array(0);
  let at = 0;
  while (at + 8 <= data.length) {
    const size = view.getUint32(at);
    if (size < 8) throw new TypeError("this is no MP4");
    if (at + size > data.length) break;
    const box = data.subarray(at, at + size);
    if (view.getUint32(at + 4) === 0x66726565) {  // "free": what the station has to say
      notes.push(JSON.parse(new TextDecoder().decode(box.subarray(8))));
    } else {
      media = join(media, box);
    }
    at += size;
  }
  return [media, notes, data.slice(at)];
}

/** One stream in a <video>. */
export class Player {
  constructor(video) {
    this.video = video;
    this.timer = setInterval(() => this.keepUp(), 250);
  }

  /** Get ready for a stream of this type. */
  async open(mime) {
    const source = new Source();
    this.video.disableRemotePlayback = true;  // or iPhones want another source beside it
    this.url = URL.createObjectURL(source);
    const opened = happened(source, ["sourceopen"]);
    this.video.src = this.url;
    await opened;
    this.buffer = source.addSourceBuffer(mime);
    this.buffer.mode = "sequence";  // it begins at 0, and gaps are closed
    this.video.play().catch(() => {});  // the first picture is shown even where it may not play
  }

  /** Show some more. */
  async append(data) {
    if (!data.length) return;
    const ready = happened(this.buffer, ["updateend", "error"]);
    this.buffer.appendBuffer(data);
    await ready;
    if (this.video.error) throw new TypeError(this.video.error.message);
    await this.forget();
  }

  /** How many seconds are waiting to be shown; null before there is something. */
  get behind() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : null;
  }

  /** Show no more. */
  close() {
    clearInterval(this.timer);
    URL.revokeObjectURL(this.url);
  }

  /** What was shown long ago costs memory. */
  async forget() {
    const { buffered, currentTime } = this.video;
    if (!buffered.length || buffered.start(0) > currentTime - KEPT - 5) return;
    const gone = happened(this.buffer, ["updateend", "error"]);
    this.buffer.remove(0, currentTime - KEPT);
    await gone;
  }

  /** Stay close to now. */
  keepUp() {
    const { video, behind } = this;
    if (behind === null || video.seeking) return;
    if (behind > JUMP) video.currentTime += behind - 0.3;
    video.playbackRate = behind > HURRY ? 1.15 : behind > 0.5 ? video.playbackRate : 1;
    if (video.paused && !video.ended) video.play().catch(() => {});
  }
}

/** Wait for one of these events, or for the signal. */
export function happened(target, names, signal) {
  return new Promise((resolve) => {
    for (const name of names) target.addEventListener(name, resolve, { once: true });
    signal?.addEventListener("abort", resolve, { once: true });
  });
}
