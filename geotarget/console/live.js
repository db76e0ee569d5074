// What happens now: one stream of server-sent events for the whole tab, shared by all pages.
//
// Events have ids; after a break the browser asks for what it missed. Positions are frames of raw
// floats in base64, for ten thousand of them must not cost a page its frame rate.

import { signal } from "./vendor/preact.js";

const KEPT = 300;

const state = signal("connecting");
const events = signal([]);
const totals = signal(null);
const followers = new Set();
let source = null;
let users = 0;

function open() {
  source = new EventSource("/v1/live");
  source.onopen = () => (state.value = "live");
  source.onerror = () => (state.value = source.readyState === EventSource.CLOSED ? "connecting" : "lost");
  source.addEventListener("transition", (event) => note("transition", event));
  source.addEventListener("decision", (event) => note("decision", event));
  source.addEventListener("totals", (event) => (totals.value = JSON.parse(event.data)));
  source.addEventListener("positions", (event) => {
    const frame = floats(event.data);
    for (const follower of followers) follower(frame);
  });
}

function note(kind, event) {
  const item = { kind, ...JSON.parse(event.data) };
  if (events.value.some(({ id }) => id === item.id)) return; // told again after a break
  events.value = [item, ...events.value].slice(0, KEPT);
}

/** Float32Array of lng, lat, lng, lat … */
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
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
