// Webhooks: what was sent, what waits, what failed and why; where they go; what could not be read.

import { html } from "../vendor/preact.js";
import { place, to } from "../router.js";
import { DeadLetters } from "./dead-letters.js";
import { DeliveryList } from "./delivery-list.js";
import { DeliveryDetail } from "./delivery-detail.js";
import { Endpoints } from "./endpoints.js";

const TABS = [
  ["", "Deliveries", DeliveryList],
  ["endpoints", "Endpoints", Endpoints],
  ["dead-letters", "Refused pings", DeadLetters],
];

export function Deliveries() {
  const [tab = "", id] = place.value.rest;
  if (tab === "of") return html`<${DeliveryDetail} id=${id} key=${id} />`;
  const [, , View] = TABS.find(([name]) => name === tab) || TABS[0];
  return html`<div class="column">
    <header class="page-head">
      <div>
        <h1>Deliveries</h1>
        <p>Every event that left, or is about to: signed, tried again until it arrives, and never lost.</p>
      </div>
    </header>
    <nav class="tabs" aria-label="Deliveries">
      ${TABS.map(
        ([name, words]) =>
          html`<a key=${name} href=${name ? to("deliveries", name) : to("deliveries")} aria-current=${name === tab ? "page" : undefined}>${words}</a>`,
      )}
    </nav>
    <${View} />
  </div>`;
}
