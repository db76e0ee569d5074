// What is done to a whole campaign: start, pause, end, copy, delete, restore.

import { html, signal, useState } from "../vendor/preact.js";
import { get, piece, put, remove, seen } from "../api.js";
import { to } from "../router.js";
import { Button, Dialog, Icon, Name, Trouble } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { documentIn } from "./campaign-draft.js";

/** Counts what was done to campaigns: the list looks again, also after an undo on another page. */
export const touched = signal(0);
const touch = () => {
  touched.value += 1;
};

export const address = (id) => `/v1/campaigns/${piece(id)}`;

/** The page of one campaign; an id that is also the name of a page says so. */
export const editing = (id) => (id === "new" ? to("campaigns", id, { stored: "1" }) : to("campaigns", id));

/** What the last save of a campaign warned of, by its id: it stays to be read until the next save. */
const warned = signal({});

export const warn = (id, warnings) => {
  warned.value = { ...warned.value, [id]: warnings };
};

/** What the last save warned of. */
export const Warnings = ({ id }) =>
  (warned.value[id] || []).map((words) => html`<p class="notice warn" key=${words}><${Icon} name="triangle-alert" /><span class="long">${words}</span></p>`);

const DONE = { active: "speaks now", scheduled: "speaks as soon as its start has come", paused: "is paused", ended: "has ended", draft: "is a draft again" };

/** Which status each button makes, by the status that is: [status, icon, words]. */
export const MOVES = {
  draft: [["active", "play", "Start"]],
  scheduled: [["paused", "pause", "Pause"], ["ended", "square", "End"]],
  active: [["paused", "pause", "Pause"], ["ended", "square", "End"]],
  paused: [["active", "play", "Go on"], ["ended", "square", "End"]],
  ended: [["active", "play", "Start again"]],
};

/** Whether it begins later: then it is planned, not running. */
export function begins(schedule) {
  const from = Date.parse(schedule?.starts || "");
  return from > Date.now();
}

/**
 * Store the same document with another status; can be taken back.
 *
 * @param {(stored?: object) => void} again - Hears what is stored now, also after an undo.
 */
export async function move(id, status, again = () => {}) {
  try {
    const now = await get(address(id));
    const wanted = status === "active" && begins(now.schedule) ? "scheduled" : status;
    const stored = await put(address(id), { ...documentIn(now), status: wanted }, seen(now.version));
    touch();
    const back = async () => {
      try {
        const latest = await get(address(id));
        again(await put(address(id), { ...documentIn(latest), status: now.status }, seen(latest.version)));
        touch();
      } catch (error) {
        complain(error);
        again();
      }
    };
    say(`${stored.name} ${DONE[wanted]}.`, { undo: back });
    warn(id, stored.warnings);
    again(stored);
  } catch (error) {
    complain(error);
    touch();
    again();
  }
}

/** Asks, then deletes; the document can be put back. */
export function Delete({ campaign, onClose, onDone }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const { id, name, status } = campaign;
  const erase = async () => {
    setBusy(true);
    try {
      await remove(address(id));
      const back = async () => {
        try {
          await put(address(id), documentIn(campaign), seen(0));
        } catch (refused) {
          complain(refused);
        }
        touch();
      };
      say(`${name} was deleted.`, { undo: back });
      touch();
      onClose();
      onDone?.();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    title="Delete this campaign?"
    onClose=${onClose}
    onSubmit=${erase}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="danger main" icon="trash-2" busy=${busy}>Delete<//>`}
  >
    <p><strong><${Name}>${name}<//></strong> ${status === "active" ? "speaks now and will stop at once." : "will be gone from the list."} Its results, decisions and versions are kept; what is on its way is still delivered.</p>
    <${Trouble} error=${error} />
  <//>`;
}
