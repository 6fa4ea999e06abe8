// Pictures that come home while one looks at the newest.

import { listen } from "./events.js";

/**
 * Show new pictures: at once to who stands at the top, and with a button to who is further down.
 * `refresh` brings them.
 */
export function watch(refresh) {
  const button = document.createElement("button");
  button.className = "primary fresh";
  let count = 0;
  let soon;

  function atTop() {
    return scrollY < 80 && !document.querySelector("dialog[open]");
  }

  async function show() {
    count = 0;
    button.remove();
    scrollTo({ top: 0 });
    await refresh();
  }

  button.onclick = () => show().catch(() => location.reload());
  listen({
    media(news) {
      count += news.count;
      clearTimeout(soon); // several often come together
      soon = setTimeout(() => {
        if (atTop()) return show().catch(() => {});
        button.textContent = count === 1 ? "1 new picture" : `${count} new pictures`;
        document.body.append(button);
      }, 700);
    },
  });
}
