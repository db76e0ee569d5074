// Webhooks: what was sent, what waits, what failed and why; where they go. Pings: what could not be
// read, and how an app sends them.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { place, to } from "../router.js";
import { Connect } from "./connect.js";
import { DeadLetters } from "./dead-letters.js";
import { DeliveryList } from "./delivery-list.js";
import { DeliveryDetail } from "./delivery-detail.js";
import { Endpoints } from "./endpoints.js";

const TABS = [
  ["", "Deliveries", DeliveryList],
  ["endpoints", "Endpoints", Endpoints],
  ["dead-letters", "Refused pings", DeadLetters],
  ["connect", "Connect your app", Connect],
];

export function Deliveries() {
  const [tab = "", id] = place.value.rest;
  const tabs = useRef();
  useEffect(() => {
    // on a phone not all of them fit: the one that we are at is seen
    tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [tab]);
  if (tab === "of") return html`<${DeliveryDetail} id=${id} key=${id} />`;
  const [, , View] = TABS.find(([name]) => name === tab) || TABS[0];
  return html`<div class="column">
    <header class="page-head">
      <div>
        <h1>Deliveries</h1>
        <p>Every event that left, or is about to: signed, tried again until it arrives, and never lost.</p>
      </div>
    </header>
    <nav class="tabs" aria-label="Deliveries" ref=${tabs}>
      ${TABS.map(
        ([name, words]) =>
          html`<a key=${name} href=${name ? to("deliveries", name) : to("deliveries")} aria-current=${name === tab ? "page" : undefined}>${words}</a>`,
      )}
    </nav>
    <${View} />
  </div>`;
}
