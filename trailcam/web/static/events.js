// What changes at the station, as it happens.

import { call, root } from "./api.js";

/**
 * Be told of each camera that has changed (`camera`, its JSON), of new pictures (`media`), of the
 * station being gone (`lost`) and being back (`back`). Nothing is held open while nobody looks:
 * whoever comes back is told how all cameras are. Gives what ends it.
 */
export function listen(told) {
  const ending = new AbortController();
  const { signal } = ending;
  let source = null;
  let again = 0;
  let gone = false;

  function open() {
    close();
    source = new EventSource(new URL("api/v1/events", root));
    source.addEventListener("camera", (event) => {
      back();
      told.camera?.(JSON.parse(event.data));
    });
    source.addEventListener("media", (event) => told.media?.(JSON.parse(event.data)));
    source.addEventListener("open", back);
    source.addEventListener("error", lost);
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  function back() {
    if (gone) told.back?.();
    gone = false;
  }

  function lost() {
    if (!gone) told.lost?.();
    gone = true;
    // A browser tries again by itself, unless the answer was an error.
    if (source?.readyState !== EventSource.CLOSED) return;
    close();
    // Whoever has been logged out is led to the login by this.
    again = setTimeout(() => call("GET", "api/v1/cameras").catch(() => {}).then(look), 3000);
  }

  function look() {
    if (document.hidden || signal.aborted) close();
    else if (!source) open();
  }

  document.addEventListener("visibilitychange", look, { signal });
  addEventListener("pagehide", close, { signal });
  addEventListener("pageshow", look, { signal });
  signal.addEventListener("abort", close);
  look();
  return () => ending.abort();
}
