// Talks to our HTTP API, as the pages do for all that they change.

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
  let answer;
  try {
    answer = await fetch(new URL(path, root), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "the station does not answer: is it running, and are you on its network?");
  }
  if (answer.status === 401) {
    location.reload();
  }
  const kind = answer.headers.get("Content-Type") || "";
  const value = kind.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Problem(answer.status, value?.detail || answer.statusText);
  return value;
}
