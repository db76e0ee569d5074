// What happens now: one stream of server-sent events for the whole tab, shared by all pages.
//
// Events have ids; after a break the browser asks for what it missed. Positions are frames of raw
// floats in base64, for ten thousand of them must not cost a page its frame rate.

import { signal } from "./vendor/preact.js";
import { whoAmI } from "./session.js";

const KEPT = 300;
const TRIED_AGAIN_MS = 3000;
const TOLD_MS = 100;

const state = signal("connecting");
const events = signal([]);
const totals = signal(null);
const followers = new Set();
let source = null;
let users = 0;
let last = ""; // the browser forgets it when it gives up; we open anew where we were

function open() {
  source = new EventSource(last ? `/v1/live?after=${last}` : "/v1/live");
  source.onopen = () => (state.value = "live");
  source.onerror = () => {
    state.value = "lost";
    if (source.readyState === EventSource.CLOSED) setTimeout(reopen, TRIED_AGAIN_MS); // the browser has given up
  };
  source.addEventListener("transition", (event) => note("transition", event));
  source.addEventListener("decision", (event) => note("decision", event));
  source.addEventListener("totals", (event) => (totals.value = JSON.parse(event.data)));
  source.addEventListener("positions", (event) => {
    const frame = floats(event.data);
    for (const follower of followers) follower(frame);
  });
}

async function reopen() {
  await whoAmI().catch(() => null); // the session may have ended, and this page with it
  if (users && source?.readyState === EventSource.CLOSED) open();
}

let waiting = [];

/** Events come by the hundred; the pages hear of them ten times a second. */
function note(kind, event) {
  last = event.lastEventId;
  waiting.push({ kind, ...JSON.parse(event.data) });
  if (waiting.length === 1) setTimeout(tell, TOLD_MS);
}

function tell() {
  const known = new Set(events.value.map(({ id }) => id)); // after a break some are told again
  const fresh = [];
  for (const item of waiting) {
    if (known.has(item.id)) continue;
    known.add(item.id);
    fresh.push(item);
  }
  waiting = [];
  if (fresh.length) events.value = [...fresh.reverse(), ...events.value].slice(0, KEPT);
}

/** Float32Array of lng, lat, lng, lat … */
function floats(text) {
  if (Uint8Array.fromBase64) return new Float32Array(Uint8Array.fromBase64(text).buffer);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return new Float32Array(bytes.buffer);
}

export const live = {
  /** connecting, live or lost */
  state,
  /** The latest transitions and decisions, newest first. */
  events,
  /** Devices, who is inside, what happened since midnight. */
  totals,
  /** Listen as long as somebody does; returns what ends it. */
  use() {
    users += 1;
    if (users === 1) open();
    return () => {
      users -= 1;
      if (users === 0) {
        source.close();
        source = null;
      }
    };
  },
  /** Hear every frame of positions; returns what ends it. */
  follow(follower) {
    followers.add(follower);
    return () => followers.delete(follower);
  },
};
