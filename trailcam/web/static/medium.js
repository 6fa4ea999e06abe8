// What a person does with a picture: marks it, writes a note, deletes it, has it back.
// Works wherever facts.html is shown, and tells all others by the event "medium".

import { call, root } from "./api.js";
import { toast, trouble } from "./toast.js";

const path = (id) => `api/v1/media/${id}`;
const tell = (id, change) =>
  document.dispatchEvent(new CustomEvent("medium", { detail: { id: Number(id), ...change } }));

/** Mark a picture, or no longer. */
export async function favourite(id, wanted) {
  await call("PATCH", path(id), { favourite: wanted });
  tell(id, { favourite: wanted });
}

/** Delete a picture from the library; it can be had back. */
export async function remove(id) {
  await keepNotes();
  await call("DELETE", path(id));
  tell(id, { removed: true });
  toast("Deleted.", "Undo", () => restore(id).then(() => toast("It is back."), trouble));
}

/** Have a picture back. */
async function restore(id) {
  await call("POST", `${path(id)}/restore`);
  tell(id, { removed: false });
}

async function restoreHere(id) {
  await restore(id);
  toast("It is back.", "Show it", () => location.assign(new URL(`media/${id}`, root)));
}

/** Save a note, if it was changed. */
async function note(form, asked) {
  const { note: field } = form.elements;
  const [before, text] = [field.defaultValue, field.value.trim()];
  if (text !== before.trim()) {
    const id = about(form).dataset.medium;
    field.defaultValue = text; // once is enough
    form.ariaBusy = "true";
    try {
      await call("PATCH", path(id), { note: text });
    } catch (error) {
      field.defaultValue = before;
      throw error;
    } finally {
      form.ariaBusy = "false";
    }
    tell(id, { note: text });
  } else if (!asked || form.ariaBusy === "true") {
    return;
  }
  toast("The note is saved.");
}

/** Save what was written and not saved yet: the picture is being left. */
export async function keepNotes() {
  for (const form of document.querySelectorAll("form[data-do=note]")) {
    await note(form).catch(trouble);
  }
}

/** Do it once, with the button busy meanwhile. */
async function busy(button, work) {
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  try {
    await work();
  } catch (error) {
    trouble(error);
  } finally {
    button.ariaBusy = "false";
  }
}

const about = (element) => element.closest("[data-medium]");

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  const place = button && about(button);
  if (!place) return;
  const id = place.dataset.medium;
  const work = {
    favourite: () => favourite(id, place.dataset.favourite !== "true"),
    remove: () => remove(id),
    restore: () => restoreHere(id),
  }[button.dataset.do];
  if (work) busy(button, work);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-do=note]");
  if (!form) return;
  event.preventDefault();
  busy(form.querySelector("button"), () => note(form, true));
});

document.addEventListener("change", ({ target }) => target.name === "note" && keepNotes());
document.addEventListener("visibilitychange", keepNotes);
addEventListener("pagehide", keepNotes);

// On a page of its own, arrows lead to the neighbours.
document.addEventListener("keydown", (event) => {
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const modified = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
  if (!rel || modified || event.target.closest("textarea, video")) return;
  document.querySelector(`.leaf a[rel=${rel}]`)?.click();
});

document.addEventListener("medium", ({ detail }) => {
  for (const place of document.querySelectorAll(`[data-medium="${detail.id}"]`)) {
    if (detail.favourite !== undefined) {
      place.dataset.favourite = detail.favourite;
      place.querySelector("[data-do=favourite]")?.setAttribute("aria-pressed", detail.favourite);
    }
    if (place.matches("main .about") && detail.removed !== undefined) location.reload();
  }
});
