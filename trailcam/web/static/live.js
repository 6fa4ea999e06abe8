// The live view: calls the camera, shows what comes, says why nothing comes, and lets it sleep.

import { problemOf, root } from "./api.js";
import { listen } from "./events.js";
import { Player, happened, pieces, playable } from "./liveplayer.js";

/** A page that nobody looks at stops after so many milliseconds. */
const UNSEEN = 30_000;
/** Pauses before it is tried again; it is given up after the last. */
const PAUSES = [3_000, 10_000, 20_000];
/** So often it is asked whether a camera that is busy has time. */
const BUSY = 5_000;
/** After so much of the live view all pauses are there again. */
const WELL = 30_000;
/** After so long without a picture a person is told; later the station is asked anew. */
const SILENT = 6_000;
const LOST = 25_000;
/** So much longer when the station has said that it waits for the camera. */
const PATIENT = 90_000;

const PHASES = {
  waking: "Waking the camera over Bluetooth…",
  joining: "Joining the camera’s Wi-Fi…",
  connecting: "Calling the camera…",
  login: "Logging in to the camera…",
  showing: "Waiting for the first picture…",
  leaving: "The camera is just going to sleep: calling it again…",
};

const $ = (id) => document.getElementById(id);
const live = $("live");
const video = $("video");
const name = live.dataset.camera;
const stream = new URL(`api/v1/cameras/${name}/live.mp4`, root);

/** What is in the way, and whether it goes by without anybody doing something. */
class Obstacle extends Error {
  constructor(text, { busy = false, last = false } = {}) {
    super(text);
    this.busy = busy;
    this.last = last;
  }
}

let ending = null;   // the AbortController of what is going on
let player = null;
let deafen = null;   // ends listening to what the station says of its cameras
let shown = "";      // starting, playing, waiting, busy, stopped
let unseen = 0;
let paused = false;  // because nobody looked
let heard = Infinity;  // when something last came; Infinity while nothing is expected
let pictured = null; // when the first picture of a stream came
let giveUp = null;   // ends the stream, and it is tried again
let hurry = null;    // ends a pause

// -- what is seen

function show(state, text = "", button = "") {
  shown = state;
  $("cover").hidden = state === "playing";
  $("spinner").hidden = state === "stopped";
  $("status").textContent = text;
  $("again").hidden = !button;
  $("again").textContent = button;
  $("badge").hidden = state !== "playing";
  $("stop").hidden = state === "stopped";
  $("snapshot").disabled = state !== "playing";
  if (state !== "playing") $("numbers").textContent = "";
  live.dataset.state = state;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?)…]$/.test(text) ? "" : ".");
}

// -- from the beginning to the end

async function start() {
  if (ending) return;
  ending = new AbortController();
  paused = false;
  const { signal } = ending;
  show("starting", "Calling the camera…");
  deafen?.();
  deafen = listen({ camera: heardOf });
  let tries = 0;
  while (!signal.aborted) {
    pictured = null;
    try {
      await watch(signal);
      if (!signal.aborted) show("starting", "Calling the camera…");
      await sleep(500, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (pictured && performance.now() - pictured > WELL) tries = 0;
      const problem = error instanceof Obstacle ? error : new Obstacle(
        "the connection to the station is lost");
      const pause = problem.busy ? BUSY : PAUSES[tries++];
      if (problem.last || !pause) {
        stop(sentence(problem.message), "Start again");
        return;
      }
      const next = problem.busy ? "It begins by itself then." : "Trying again…";
      show(problem.busy ? "busy" : "waiting", `${sentence(problem.message)} ${next}`);
      await sleep(pause, signal);
      if (!problem.busy && !signal.aborted) show("starting", "Calling the camera…");
    }
  }
}

/** Show one stream to its end; fails with what is in the way. */
async function watch(signal) {
  const ours = new AbortController();
  const end = () => ours.abort();
  signal.addEventListener("abort", end, { once: true });
  heard = Infinity;
  const answer = await fetch(stream, { signal: ours.signal, cache: "no-store" });
  if (!answer.ok) throw await refusal(answer);
  const mime = answer.headers.get("Content-Type");
  if (!playable(mime)) return playPlainly(answer, signal);
  const own = player = new Player(video);
  let over = null;
  giveUp = end;
  try {
    await own.open(mime);
    for await (const { media, notes } of pieces(answer.body)) {
      heard = performance.now();
      for (const note of notes) {
        over = note.over ?? over;
        if (note.waiting) wait(sentence(note.waiting));
      }
      await own.append(media);
      if (media.length && !over) seen(signal);
    }
  } catch (error) {
    throw over ? new Obstacle(over) : error;
  } finally {
    signal.removeEventListener("abort", end);
    own.close();
    heard = Infinity;
    if (player === own) player = giveUp = null;
  }
  if (over) throw new Obstacle(over, { last: true });
  // else the camera’s coding has changed: once more
}

/** There is a picture, or there will be as soon as it is decoded. */
function seen(signal) {
  pictured ??= performance.now();
  if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
    if (shown !== "playing") show("playing");
  } else {
    video.onloadeddata = () => { if (!signal.aborted) show("playing"); };
  }
}

/** There is none for the time being: the station says so, and goes on by itself. */
function wait(text) {
  heard = performance.now() + PATIENT;
  show("waiting", text);
}

/** What cannot play a stream in pieces may play it as a file. */
async function playPlainly(answer, signal) {
  video.src = stream;  // joins the view that has just begun
  try {
    await happened(video, ["loadeddata", "error"], signal);
    answer.body?.cancel();
    if (video.error) {
      throw new Obstacle("this browser cannot play the camera’s video", { last: true });
    }
    show("playing");
    await happened(video, ["ended", "error"], signal);
  } finally {
    video.removeAttribute("src");
    video.load();
  }
  throw new Obstacle("the live view is over", { last: true });
}

async function refusal(answer) {
  const { message } = await problemOf(answer);
  const busy = answer.status === 409 || answer.headers.has("Retry-After");
  return new Obstacle(message, { busy, last: answer.status < 500 && !busy });
}

/** End it, and let the camera sleep. */
function stop(text = "Stopped: the camera goes to sleep.", button = "Start again") {
  ending?.abort();
  ending = null;
  deafen?.();
  deafen = null;
  show("stopped", text, button);
}

async function sleep(milliseconds, signal) {
  let timer;
  await new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds);
    hurry = resolve;
    signal.addEventListener("abort", resolve, { once: true });
  });
  hurry = null;
  clearTimeout(timer);
}

/** What the station says of a camera. */
function heardOf(camera) {
  if (camera.name !== name) return;
  if (shown === "starting" && PHASES[camera.phase]) {
    $("status").textContent = PHASES[camera.phase];
  }
  if (shown === "busy" && camera.phase === null) hurry?.();
}

// -- what a person does

$("again").addEventListener("click", start);
$("stop").addEventListener("click", () => stop());

$("snapshot").addEventListener("click", () => {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    const now = new Date();
    const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}_live_${local.slice(0, 19).replace(/[T:]/g, "-")}.jpg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/jpeg", 0.92);
});

const stage = $("stage");
$("full").hidden = !(stage.requestFullscreen || video.webkitEnterFullscreen);
function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (stage.requestFullscreen) stage.requestFullscreen().catch(() => {});
  else video.webkitEnterFullscreen();
}
$("full").addEventListener("click", fullScreen);
stage.addEventListener("dblclick", fullScreen);

// -- nobody looks

document.addEventListener("visibilitychange", () => {
  clearTimeout(unseen);
  if (document.hidden && ending) {
    unseen = setTimeout(() => {
      stop("Paused, because nobody looked: that saves the camera’s battery.");
      paused = true;
    }, UNSEEN);
  } else if (!document.hidden && paused) {
    start();
  }
});
addEventListener("pagehide", () => { if (ending) { stop("Stopped."); paused = true; } });
addEventListener("pageshow", (event) => { if (event.persisted && paused) start(); });

// -- numbers

let counted = null;
setInterval(() => {
  const frames = video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
  const now = performance.now();
  if (shown === "playing" && counted && frames && frames >= counted.frames) {
    const rate = (frames - counted.frames) * 1000 / (now - counted.now);
    const behind = Math.max(0, player?.behind ?? 0);
    $("numbers").textContent = `${video.videoWidth} × ${video.videoHeight}, `
      + `${rate.toFixed(0)} pictures/s${rate ? `, ${behind.toFixed(1)} s behind` : ""}`;
  }
  counted = { frames, now };
}, 1000);

// -- nothing comes, and nobody says why: the network between us and the station

setInterval(() => {
  const silence = performance.now() - heard;
  if (silence > LOST) giveUp?.();
  else if (silence > SILENT && shown === "playing") {
    show("waiting", "No picture comes: is this device still in reach of its Wi-Fi?");
  }
}, 1000);

live.hidden = false;
if (document.hidden) {
  paused = true;  // opened in the background: the camera may sleep until somebody looks
  show("stopped", "", "Start");
} else {
  start();
}
