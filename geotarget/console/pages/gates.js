// The gates of campaigns: how they are called, and what each answered about one movement.

import { html } from "../vendor/preact.js";
import { Tag } from "../parts/parts.js";

/** In the order in which they are asked. */
export const GATE_NAMES = {
  trigger: "Trigger", schedule: "Schedule", consent: "Consent", audience: "Audience", holdout: "Comparison", cap: "Limits",
  budget: "Budget", arbitration: "Other campaigns", variant: "Variant", content: "Offer",
};

const ANSWERS = { passed: ["good", "check", "Passed"], refused: ["bad", "x", "Refused"], "not asked": ["", "minus", "Not asked"] };

export function Gates({ gates }) {
  return html`<ol class="gates">
    ${gates.map(({ gate, asks, answer, text }) => {
      const [kind, icon, words] = ANSWERS[answer];
      return html`<li key=${gate}>
        <${Tag} kind=${kind} icon=${icon}>${words}<//>
        <span><strong>${GATE_NAMES[gate] || gate}</strong>${asks && `: ${asks}?`}${text && html`<small dir="auto">${text}</small>`}</span>
      </li>`;
    })}
  </ol>`;
}
