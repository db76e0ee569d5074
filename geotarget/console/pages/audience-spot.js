// Where in a rule the mistake is: its line, and a mark below.

import { html } from "../vendor/preact.js";
import { placeIn } from "./audience-cel.js";

export function Spot({ rule, reason }) {
  const spot = placeIn(rule, reason);
  if (!spot || !spot.text.trim()) return null;
  const from = Math.max(0, spot.column - 41);
  const line = spot.text.slice(from, from + 80);
  const mark = " ".repeat(Math.max(0, spot.column - 1 - from));
  return html`<pre class="spot" aria-hidden="true">${`${line}\n${mark}^`}</pre>`;
}
