// Whoever comes back to a long list finds the place where they left it.

const PAGES = 30; // that are loaded for it, at most

/** Load until so many tiles are there, and scroll down to y; not for who goes elsewhere. */
export async function comeBack({ tiles, y }, { days, more }) {
  const ended = new AbortController();
  const { signal } = ended;
  let wanted = true;
  const elsewhere = () => { wanted &&= Boolean(document.querySelector("dialog[open]")); };
  for (const name of ["wheel", "pointerdown", "keydown"]) {
    addEventListener(name, elsewhere, { signal, passive: true });
  }
  for (let page = 0; wanted && page < PAGES; page++) {
    if (days.querySelectorAll(".tile").length >= tiles || !await more()) break;
  }
  if (wanted) scrollTo(0, y);
  ended.abort();
}
