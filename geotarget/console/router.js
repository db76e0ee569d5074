// Where we are: the part behind the # of the address. Works from a file server and needs no rules
// on the server; the browser's back and forward work by themselves.

import { signal } from "./vendor/preact.js";

/** {page: "zones", rest: ["kamppi"], query: URLSearchParams} */
export const place = signal(read());

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/").map(decodeURIComponent);
  return { page: page || "live", rest, query: new URLSearchParams(query) };
}

let guard = null;

/**
 * Ask before leaving: `asks` hears where to, as a function that goes there; true lets it pass.
 * Returns what ends it.
 */
export function guarded(asks) {
  guard = asks;
  return () => {
    if (guard === asks) guard = null;
  };
}

addEventListener("hashchange", (event) => {
  const wanted = location.hash;
  const leave = () => {
    guard = null;
    location.hash = wanted;
  };
  if (guard && !guard(leave)) {
    history.pushState(null, "", event.oldURL); // back to where we were, without a word to anybody
    return;
  }
  place.value = read();
});

/** The address of a page, for `href`. */
export function to(page, ...rest) {
  const last = rest.at(-1);
  const query = last !== null && typeof last === "object" ? rest.pop() : {};
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const path = [page, ...rest].map(encodeURIComponent).join("/");
  return `#/${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** Go there. */
export function go(...where) {
  location.hash = to(...where);
}
