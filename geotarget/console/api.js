// The API as the console speaks it: the same routes that everybody has, with the session's cookie.

/** Headers of a change that counts only for the version that was seen; 0: only where there is none. */
export const seen = (version) => ({ headers: version ? { "if-match": `"${version}"` } : { "if-none-match": "*" } });

/** What the API refused, as it said it (RFC 9457). */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.title = problem.title || "";
    this.errors = problem.errors || [];
    this.problem = problem;
  }
}

/** No answer came: the server is away, or the network is. */
export class Unreachable extends Error {
  constructor() {
    super("geotarget does not answer. Is it running? This page goes on as soon as it is.");
  }
}

const listeners = new Set();

/** Call back when the session has ended. Returns what takes the callback back. */
export function onSignedOut(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

/**
 * Ask the API.
 *
 * @param {string} method
 * @param {string} path - From the root, such as /v1/zones.
 * @param {{body?: any, query?: object, type?: string, as?: "json" | "text" | "blob", headers?: object, signal?: AbortSignal}} how
 *   `body`: an object is sent as JSON, text and files as they are. Empty values of `query` are left out.
 * @throws {Refusal | Unreachable}
 */
export async function ask(method, path, { body, query, type, as = "json", headers: more, signal } = {}) {
  const raw = typeof body === "string" || body instanceof Blob;
  const headers = { "x-geotarget-console": "1", ...more };
  if (body !== undefined) headers["content-type"] = type || "application/json";
  let answer;
  try {
    answer = await fetch(path + search(query), {
      method,
      headers,
      signal,
      body: body === undefined || raw ? body : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (answer.ok) {
    if (answer.status === 204) return null;
    return answer[as]();
  }
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) for (const listener of listeners) listener();
  throw new Refusal(answer.status, problem);
}

export const get = (path, query, how) => ask("GET", path, { query, ...how });
export const put = (path, body, how) => ask("PUT", path, { body, ...how });
export const post = (path, body, how) => ask("POST", path, { body, ...how });
export const remove = (path, how) => ask("DELETE", path, how);

/** All items of a paged list, at most `most`. */
export async function all(path, query = {}, most = 5000) {
  const items = [];
  let cursor = null;
  do {
    const page = await get(path, { limit: 1000, ...query, cursor });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < most);
  return items;
}

/** One id as a piece of a path; ids may hold slashes. */
export const piece = (id) => encodeURIComponent(id);

function search(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
