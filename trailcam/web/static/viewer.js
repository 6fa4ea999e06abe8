// The picture that fills the screen. `#m5` in the address shows picture 5: Back closes it.

import { fetchPage, root } from "./api.js";
import { favourite, keepNotes, remove } from "./medium.js";
import { trouble } from "./toast.js";

const SWIPE = 60; // pixels

/** What a tile of the grid shows. */
function ofTile(tile) {
  const image = tile.querySelector("img");
  const day = tile.closest(".day").querySelector("h2").firstElementChild?.textContent;
  return {
    id: Number(tile.id.slice(1)),
    video: "video" in tile.dataset,
    favourite: tile.classList.contains("loved"),
    thumbnail: image.src,
    file: image.src.replace(/thumbnail(?=\?)/, "file"),
    caption: [day || "Time unknown", tile.querySelector("span").textContent.trim()],
  };
}

/** What the page of a picture shows, one that is not in the grid. */
function ofPage(page) {
  const about = page.querySelector(".about");
  const picture = page.querySelector(".picture");
  const [camera] = about.querySelectorAll("dd");
  return {
    id: Number(about.dataset.medium),
    video: picture.matches("video"),
    favourite: about.dataset.favourite === "true",
    thumbnail: picture.poster || picture.src,
    file: picture.src,
    caption: [about.querySelector("h2").innerText, camera.textContent],
    newer: page.querySelector("a[rel=prev]")?.href,
    older: page.querySelector("a[rel=next]")?.href,
  };
}

export class Viewer {
  #dialog;
  #grid;
  #stage;
  #side;
  #shown = null;
  #pushed = false;

  constructor(dialog, grid) {
    this.#dialog = dialog;
    this.#grid = grid;
    this.#stage = dialog.querySelector(".stage");
    this.#side = dialog.querySelector(".side");
    grid.days.addEventListener("click", (event) => this.#tapped(event));
    dialog.addEventListener("click", (event) => this.#pressed(event));
    document.addEventListener("keydown", (event) => this.#typed(event));
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.#leave(); });
    dialog.addEventListener("close", () => this.#leave());
    addEventListener("popstate", () => this.#follow());
    document.addEventListener("medium", ({ detail }) => this.#changed(detail));
    this.#swipes();
    this.#follow();
  }

  #tapped(event) {
    const tile = event.target.closest(".tile");
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
    if (!tile || !plain) return;
    event.preventDefault();
    history.pushState(history.state, "", `#${tile.id}`);
    this.#pushed = true;
    this.#show(ofTile(tile));
    this.#stage.querySelector("video")?.play().catch(() => {});
  }

  #pressed(event) {
    const what = event.target.closest("button[data-do]")?.dataset.do;
    if (event.target.closest(".side")) return; // medium.js
    if (what) this.#do(what);
  }

  #typed(event) {
    if (!(this.#shown || event.key === "u") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("textarea, input") && event.key !== "Escape") return;
    if (event.target.closest("video") && event.key.startsWith("Arrow")) return; // it seeks
    const what = {
      ArrowLeft: "newer", ArrowRight: "older", f: "favourite", i: "facts", Delete: "remove",
      Escape: "close", u: "undo",
    }[event.key];
    if (!what) return;
    event.preventDefault();
    this.#do(what);
  }

  #do(what) {
    const { id, favourite: loved } = this.#shown ?? {};
    if (what === "undo") document.querySelector(".toast button")?.click();
    if (what === "close") this.#leave();
    if (what === "newer" || what === "older") this.#turn(what).catch(trouble);
    if (what === "facts") this.#facts(this.#side.hidden);
    if (what === "favourite") favourite(id, !loved).catch(trouble);
    if (what === "remove") remove(id).catch(trouble);
  }

  /** Show what the address says. */
  async #follow() {
    const id = /^#m(\d+)$/.exec(location.hash)?.[1];
    if (!id) {
      this.#hide();
    } else if (Number(id) !== this.#shown?.id) {
      const tile = document.getElementById(`m${id}`);
      try {
        const page = new URL(`media/${id}${location.search}`, root);
        this.#show(tile ? ofTile(tile) : ofPage(await fetchPage(page)));
      } catch (error) {
        this.#leave();
        trouble(error);
      }
    }
  }

  #show(shown) {
    this.#shown = shown;
    this.#stage.replaceChildren(shown.video ? this.#video() : this.#photo());
    const caption = this.#dialog.querySelector(".caption");
    const small = document.createElement("small");
    [caption.textContent, small.textContent] = shown.caption;
    caption.append(small);
    this.#mark();
    if (!this.#dialog.open) this.#dialog.showModal();
    if (!this.#dialog.contains(document.activeElement)) {
      this.#dialog.querySelector("[data-do=close]").focus(); // what had it is gone
    }
    if (!this.#side.hidden) this.#facts(true);
    this.#ends();
    this.#preload();
  }

  #photo() {
    const image = new Image();
    // The small one at once, as a stand-in.
    const { file, thumbnail, caption } = this.#shown;
    image.alt = `Photo, ${caption.join(", ")}`;
    image.draggable = false;
    image.src = thumbnail;
    const large = new Image();
    large.onload = () => { image.src = file; };
    large.onerror = () => image.replaceWith(this.#damaged("photo"));
    large.src = file;
    return image;
  }

  #video() {
    const video = document.createElement("video");
    Object.assign(video, {
      controls: true, playsInline: true, preload: "metadata",
      poster: this.#shown.thumbnail, src: this.#shown.file,
      onerror: () => video.replaceWith(this.#damaged("video")),
    });
    return video;
  }

  #damaged(kind) {
    const line = document.createElement("p");
    const link = document.createElement("a");
    link.href = this.#shown.file;
    link.textContent = "Open the file itself";
    link.className = "button";
    line.append(`This ${kind} cannot be shown: it may be damaged, or the station is gone.`, link);
    return line;
  }

  #mark() {
    const button = this.#dialog.querySelector(".bar [data-do=favourite]");
    button.setAttribute("aria-pressed", this.#shown.favourite);
  }

  /** Its neighbours come before they are asked for. */
  #preload() {
    for (const tile of [this.#tile("older"), this.#tile("newer")]) {
      if (tile && !("video" in tile.dataset)) new Image().src = ofTile(tile).file;
    }
  }

  #ends() {
    const tile = document.getElementById(`m${this.#shown.id}`);
    const more = document.querySelector(".more");
    this.#button("newer", tile ? this.#tile("newer") : this.#shown.newer);
    this.#button("older", tile ? this.#tile("older") || more : this.#shown.older);
  }

  #button(what, there) {
    const button = this.#dialog.querySelector(`[data-do=${what}]`);
    button.hidden = !there;
  }

  /** The tile beside the one that is shown; undefined where there is none. */
  #tile(what) {
    const tiles = [...this.#grid.days.querySelectorAll(".tile")];
    const here = tiles.findIndex((tile) => tile.id === `m${this.#shown.id}`);
    return here < 0 ? undefined : tiles[here + (what === "older" ? 1 : -1)];
  }

  async #turn(what) {
    const from = this.#shown;
    let next = null;
    if (from[what]) {
      next = ofPage(await fetchPage(from[what]));
    } else {
      let tile = this.#tile(what);
      if (!tile && what === "older" && await this.#grid.more()) tile = this.#tile(what);
      if (tile) next = ofTile(tile);
    }
    if (!next || this.#shown !== from) return;
    history.replaceState(history.state, "", `#m${next.id}`);
    this.#show(next);
  }

  /** Show, or hide, what is known of it. */
  async #facts(wanted) {
    const { id } = this.#shown;
    keepNotes();
    this.#side.hidden = !wanted;
    this.#dialog.classList.toggle("split", wanted);
    this.#dialog.querySelector("[data-do=facts]").setAttribute("aria-expanded", wanted);
    if (!wanted) return;
    this.#side.inert = true; // it may be about another picture
    const page = fetchPage(new URL(`media/${id}`, root));
    const about = await page.then((found) => found.querySelector(".about"), ({ message }) => message);
    if (id !== this.#shown?.id) return;
    this.#side.replaceChildren(about);
    this.#side.inert = false;
  }

  #changed({ id, favourite: loved, removed }) {
    if (removed === false && this.#shown) {
      queueMicrotask(() => this.#back(id)); // once it is in the grid again
    }
    if (id !== this.#shown?.id) return;
    if (loved !== undefined) {
      this.#shown.favourite = loved;
      this.#mark();
    }
    if (removed) this.#gone();
  }

  /** It is being deleted: on to the next. */
  #gone() {
    const next = this.#tile("older") || this.#tile("newer");
    if (!next) {
      this.#leave();
      return;
    }
    this.#turnTo(next);
  }

  #back(id) {
    const tile = document.getElementById(`m${id}`);
    if (tile) this.#turnTo(tile);
  }

  #turnTo(tile) {
    history.replaceState(history.state, "", `#${tile.id}`);
    this.#show(ofTile(tile));
  }

  /** Close it, as Back does. */
  #leave() {
    if (!location.hash.startsWith("#m")) return;
    if (this.#pushed) history.back();
    else history.replaceState(history.state, "", location.pathname + location.search);
    this.#hide();
  }

  #hide() {
    const shown = this.#shown;
    if (!shown) return;
    keepNotes();
    this.#pushed = false;
    this.#shown = null;
    this.#stage.replaceChildren();
    this.#dialog.close();
    const tile = document.getElementById(`m${shown.id}`);
    tile?.scrollIntoView({ block: "nearest" });
    tile?.focus({ preventScroll: true });
  }

  /** Left and right turn, down closes; with two fingers one zooms, as everywhere. */
  #swipes() {
    let from = null;
    const move = (x) => { if (this.#stage.firstChild) this.#stage.firstChild.style.translate = x; };
    this.#stage.addEventListener("pointerdown", (event) => {
      const zoomed = (window.visualViewport?.scale ?? 1) > 1.01;
      this.#stage.classList.toggle("zoomed", zoomed);
      const single = event.isPrimary && event.pointerType !== "mouse" && !zoomed;
      from = single && !event.target.closest("video, a") ? event : null;
      if (!event.isPrimary) move("");
    });
    this.#stage.addEventListener("pointermove", (event) => {
      if (from?.pointerId === event.pointerId) move(`${event.clientX - from.clientX}px`);
    });
    this.#stage.addEventListener("pointercancel", () => { from = null; move(""); });
    this.#stage.addEventListener("pointerup", (event) => {
      if (from?.pointerId !== event.pointerId) return;
      const [x, y] = [event.clientX - from.clientX, event.clientY - from.clientY];
      from = null;
      move("");
      if (Math.abs(x) > Math.max(SWIPE, Math.abs(y))) this.#do(x < 0 ? "older" : "newer");
      else if (y > 2 * SWIPE && y > Math.abs(x)) this.#leave();
    });
  }
}
