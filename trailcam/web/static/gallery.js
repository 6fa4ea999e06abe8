// The gallery without end: older pictures come while one scrolls.

import { fetchPage } from "./api.js";
import { watch } from "./fresh.js";
import { Viewer } from "./viewer.js";

const days = document.getElementById("days");
const told = document.getElementById("told");

/** Put the days of a page behind ours; a day that goes on is one. */
function append(page) {
  let count = 0;
  for (const day of page.querySelectorAll("#days > .day")) {
    count += day.querySelectorAll(".tile").length;
    const last = days.lastElementChild;
    if (last?.dataset.day === day.dataset.day) {
      last.querySelector(".grid").append(...day.querySelectorAll(".tile"));
    } else {
      days.append(day);
    }
  }
  return count;
}

let loading = null;

/** Load one page more; tells whether there was one. */
function more() {
  loading ??= load().finally(() => { loading = null; });
  return loading;
}

async function load() {
  const nav = document.querySelector(".more");
  const link = nav?.querySelector("a");
  if (!link) return false;
  const alert = nav.querySelector(".alert");
  alert?.remove();
  link.ariaBusy = "true";
  try {
    const page = await fetchPage(link.href);
    if (alert) mend();
    link.textContent = "Older pictures";
    const count = append(page);
    const next = page.querySelector(".more a");
    if (next) link.href = next.href;
    else nav.remove();
    told.textContent = `${count} more pictures`;
    return count > 0;
  } catch (error) {
    const line = document.createElement("p");
    line.className = "alert bad";
    line.role = "alert";
    line.textContent = `No more pictures for now: ${error.message}`;
    nav.prepend(line);
    link.textContent = "Try again";
    return false;
  } finally {
    link.ariaBusy = "false";
  }
}

const nav = document.querySelector(".more");
if (nav) {
  const near = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting || nav.querySelector(".alert")) return;
    if (await more()) { // look again: the next may be near, too
      near.unobserve(nav);
      near.observe(nav);
    }
  }, { rootMargin: "1500px" });
  near.observe(nav);
  nav.addEventListener("click", async (event) => {
    if (!event.target.closest("a") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (await more()) {
      near.unobserve(nav);
      near.observe(nav);
    }
  });
}

// Thumbnails that cannot be had; some may have failed before we came.
function broken(image) {
  image.parentElement.classList.add("broken");
}

/** The station is there again: what could not be had may be now. */
function mend() {
  for (const image of days.querySelectorAll(".broken img")) {
    image.parentElement.classList.remove("broken");
    image.src = image.src;
  }
}
days.addEventListener("error", ({ target }) => target.matches(".tile img") && broken(target), true);
for (const image of days.querySelectorAll(".tile img")) {
  if (image.complete && image.src && !image.naturalWidth) broken(image);
}

// What is chosen counts at once.
const filters = document.querySelector(".filters");
let chosen;
addEventListener("pageshow", ({ persisted }) => persisted && filters?.reset());
filters?.addEventListener("change", (event) => {
  // The year 2 is a year that is being typed.
  if (!event.target.name || !event.target.checkValidity()) return;
  clearTimeout(chosen);
  chosen = setTimeout(submit, event.target.type === "date" ? 700 : 0);
});

function submit() {
  const empty = [...filters.elements].filter((field) => field.name && !field.value);
  for (const field of empty) field.disabled = true;
  filters.requestSubmit();
  for (const field of empty) field.disabled = false;
}

// What comes home shows, unless older pictures were asked for.
if (!new URL(location).searchParams.has("before")) watch(refresh);

async function refresh() {
  const page = await fetchPage(location.href.split("#")[0]);
  const link = document.querySelector(".more a");
  const next = page.querySelector(".more a");
  // Where there was nothing before there is more to make than days.
  if (!filters || !link !== !next) {
    keep();
    location.reload();
    return;
  }
  if (next) link.href = next.href;
  days.replaceChildren(...page.getElementById("days").children);
  told.textContent = "New pictures have come";
}

// Hears first what was done to a picture, while its neighbours are still known.
new Viewer(document.getElementById("viewer"), { days, more });

// The place in a long list is kept for who comes back to it.
const left = history.state;
let back = left?.tiles && import("./place.js")
  .then(({ comeBack }) => comeBack(left, { days, more })).finally(() => { back = null; });
let still;
addEventListener("pagehide", keep);
addEventListener("scroll", () => { // at a reload, pagehide is too late
  clearTimeout(still);
  still = setTimeout(keep, 200);
});

function keep() {
  const tiles = days.querySelectorAll(".tile").length;
  if (!back) history.replaceState({ tiles, y: scrollY }, "");
}

// What was done to a picture shows.
const removed = new Map();
document.addEventListener("medium", ({ detail }) => {
  const tile = document.getElementById(`m${detail.id}`) || removed.get(detail.id)?.tile;
  if (!tile) return;
  if (detail.favourite !== undefined) tile.classList.toggle("loved", detail.favourite);
  if (detail.note !== undefined) tile.classList.toggle("noted", detail.note !== "");
  if (detail.removed === true) take(detail.id, tile);
  if (detail.removed === false) putBack(detail.id);
});

function take(id, tile) {
  const day = tile.closest(".day");
  removed.set(id, { tile, day, next: tile.nextElementSibling });
  tile.remove();
  recount(day, -1);
}

function putBack(id) {
  const { tile, day, next } = removed.get(id);
  removed.delete(id);
  if (!day.isConnected) { // what came home meanwhile has made the grid anew
    refresh().catch(() => location.reload());
    return;
  }
  const grid = day.querySelector(".grid");
  grid.insertBefore(tile, next?.parentElement === grid ? next : null);
  recount(day, 1);
}

function recount(day, change) {
  const number = day.querySelector("small");
  if (number) number.textContent = Number(number.textContent) + change;
  day.hidden = !day.querySelector(".tile");
}
