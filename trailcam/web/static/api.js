// Talks to the station: to its API for all that is changed, and to its pages for what is shown.

/** Our root: pages are shown under whatever prefix a proxy likes. */
export const root = new URL(document.documentElement.dataset.root, location.href);

/** What went wrong, in words for a person. */
export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Ask the API; fails with a Problem. A path begins with "api/v1/". */
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  const csrf = document.querySelector('meta[name="csrf"]');
  if (method !== "GET" && csrf) headers["X-CSRF-Token"] = csrf.content;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await reach(new URL(path, root), {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    keepalive: method !== "GET", // it gets there even if the page is left
  });
  if (!answer.ok) throw await problemOf(answer);
  return isJson(answer) ? answer.json() : null;
}

/** What a refusal says. Whoever has been logged out is led to the login. */
export async function problemOf(answer) {
  if (answer.status === 401) location.reload();
  const detail = isJson(answer) ? (await answer.json()).detail : "";
  return new Problem(answer.status, detail || answer.statusText);
}

/** A page of ours, with links that are right here; fails with a Problem. */
export async function fetchPage(url) {
  const answer = await reach(url, { headers: { Accept: "text/html" } });
  if (answer.redirected) location.reload(); // to log in
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const name of ["href", "src", "poster"]) { // they are relative to that page
    for (const element of page.querySelectorAll(`[${name}]:not(use)`)) {
      element.setAttribute(name, new URL(element.getAttribute(name), answer.url));
    }
  }
  if (!answer.ok) {
    const text = page.querySelector("[role=alert]")?.textContent;
    throw new Problem(answer.status, text || answer.statusText);
  }
  return page;
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch {
    throw new Problem(0, "the station does not answer: is it running, and are you on its network?");
  }
}

function isJson(answer) {
  return (answer.headers.get("Content-Type") || "").includes("json");
}
