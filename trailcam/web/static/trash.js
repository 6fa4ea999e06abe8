// The trash: what is had back leaves it.

import { fetchPage, root } from "./api.js";
import "./medium.js";

document.addEventListener("medium", ({ detail }) => {
  if (detail.removed) return;
  document.querySelector(`li[data-medium="${detail.id}"]`)?.remove();
  if (!document.querySelector("li[data-medium]")) renew().catch(() => location.reload());
});

/** After the last one there may be more, or there is nothing. */
async function renew() {
  const page = await fetchPage(new URL("trash", root));
  document.querySelector("main").replaceWith(page.querySelector("main"));
}
