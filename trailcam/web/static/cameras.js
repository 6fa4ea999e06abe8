// Keeps the pages of cameras as things are.

import { call, fetchPage } from "./api.js";
import { listen } from "./events.js";
import { toast } from "./toast.js";

const UNITS = [[86400, 2 * 86400, "days"], [3600, 5400, "h"], [60, 0, "min"]];
const REST = 1500; // milliseconds between two looks at the page
const shown = new Map(); // what was last told of each camera

/** "in 23 min (14:05)", "2 days ago (18 May, 07:14)": as pages/words.py says it. */
function fromNow(when) {
  const away = (when - Date.now()) / 1000;
  const seconds = Math.abs(away);
  if (seconds < 45) return away > 0 ? "in a moment" : "just now";
  const [size, , unit] = UNITS.find(([, least]) => seconds >= least);
  const text = `${Math.max(1, Math.round(seconds / size))} ${unit}`;
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const day = when.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const clock = when.toLocaleTimeString("en-GB", time);
  const at = seconds < 43200 ? clock : `${day}, ${clock}`;
  return away > 0 ? `in ${text} (${at})` : `${text} ago (${at})`;
}

function tellTimes() {
  for (const each of document.querySelectorAll("time[data-when]")) {
    each.textContent = fromNow(new Date(each.dateTime));
  }
}

/** What changes often, from what the station tells. */
function show(camera) {
  const before = shown.get(camera.name);
  shown.set(camera.name, camera);
  const box = document.querySelector(`[data-camera="${CSS.escape(camera.name)}"]`);
  if (!box) return;
  const one = (name) => box.querySelector(`[data-${name}]`);
  const says = one("says");
  says.textContent = camera.text;
  says.className = `chip ${camera.mark}`;
  const busy = camera.waiting || (camera.phase !== null && camera.phase !== "showing");
  one("visit").disabled = busy;
  showProgress(one("progress"), camera.transfer, busy);
  one("port").hidden = !camera.port || camera.lost;
  one("port").querySelector("b").textContent = camera.port ?? "";
  one("note").textContent = camera.note;
  one("doing").hidden = !(busy || camera.note || camera.port);
  if (before && before.state !== camera.state) {
    document.getElementById("told").textContent = `${camera.name}: ${camera.text}`;
  }
  // The first time too: something may have changed since the page was made.
  if (slow(before) !== slow(camera)) refresh();
}

function showProgress(bar, transfer, busy) {
  bar.hidden = !busy;
  if (transfer?.total) {
    bar.max = transfer.total;
    bar.value = transfer.done;
  } else {
    bar.removeAttribute("value");
  }
}

/** What the rest of the page is made of. */
function slow(camera) {
  return camera && JSON.stringify([camera.last_visit, camera.due, camera.why, camera.waiting,
    camera.failures, camera.battery, camera.phase === null]);
}

const made = new Map(); // what the parts that are shown were made of
let looking = false;
let wanted = false;

/** What changes seldom is taken from the page, as the station makes it. */
async function refresh() {
  wanted = true;
  if (looking) return;
  looking = true;
  while (wanted) {
    wanted = false;
    await renew().catch(() => {});
    await new Promise((done) => setTimeout(done, REST));
  }
  looking = false;
}

async function renew() {
  const page = await fetchPage(location.href);
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const fresh = page.getElementById(part.id);
    if (!fresh || made.get(part.id) === fresh.innerHTML) continue;
    made.set(part.id, fresh.innerHTML);
    const open = part.querySelector("details")?.open;
    part.replaceChildren(...fresh.childNodes);
    if (open) part.querySelector("details").open = true;
  }
  tellTimes();
}

async function press(button) {
  const problem = button.closest("[data-camera]").querySelector("[data-problem]");
  problem.hidden = true;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await call("POST", button.dataset.post);
    if (answer.seconds) toast(`The radio is cut for ${answer.seconds} s.`);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
  button.removeAttribute("aria-busy");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-post]");
  if (button) press(button);
});

const gone = document.getElementById("gone");
listen({
  camera: show,
  media: refresh,
  lost: () => { gone.hidden = false; },
  back: () => { gone.hidden = true; refresh(); },
});
tellTimes();
setInterval(tellTimes, 15000);
