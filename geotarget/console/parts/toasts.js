// Short messages at the foot of the window: that something was done, and how to undo it.

import { html, signal } from "../vendor/preact.js";
import { Button } from "./parts.js";

const STAYS_MS = 6000;
const shown = signal([]);
let last = 0;

/** Say something for six seconds; `undo`, when given, takes it back. */
export function say(text, { undo, kind = "" } = {}) {
  const id = ++last;
  shown.value = [...shown.value.slice(-2), { id, text, undo, kind }];
  setTimeout(() => close(id), undo ? STAYS_MS * 1.5 : STAYS_MS);
}

/** Say what went wrong. */
export const complain = (error) => say(error.message, { kind: "bad" });

function close(id) {
  shown.value = shown.value.filter((each) => each.id !== id);
}

export const Toasts = () =>
  html`<div class="toasts" role="status" aria-live="polite">
    ${shown.value.map(({ id, text, undo, kind }) => {
      const takeBack = () => {
        close(id);
        undo();
      };
      return html`<div class=${`toast ${kind}`} key=${id}>
        <span>${text}</span>
        ${undo && html`<${Button} kind="small" icon="undo-2" onClick=${takeBack}>Undo<//>`}
      </div>`;
    })}
  </div>`;
