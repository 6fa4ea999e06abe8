// What a person does with a picture: marks it, writes a note, deletes it, has it back.
// Works wherever facts.html is shown, and tells all others by the event "medium".

import { call } from "./api.js";
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
  await call("DELETE", path(id));
  tell(id, { removed: true });
  toast("Deleted.", "Undo", () => restore(id).catch(trouble));
}

/** Have a picture back. */
export async function restore(id) {
  await call("POST", `${path(id)}/restore`);
  tell(id, { removed: false });
  toast("It is back.");
}

async function note(id, form) {
  const text = form.elements.note.value.trim();
  await call("PATCH", path(id), { note: text });
  tell(id, { note: text });
  toast("The note is saved.");
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
    restore: () => restore(id),
  }[button.dataset.do];
  if (work) busy(button, work);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-do=note]");
  if (!form) return;
  event.preventDefault();
  busy(form.querySelector("button"), () => note(about(form).dataset.medium, form));
});

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
    if (place.matches("li") && detail.removed === false) place.remove();
    else if (place.closest("main") && detail.removed !== undefined) location.reload();
  }
});
