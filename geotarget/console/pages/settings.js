// Keys, what people agreed to, what the operator has set, and who changed what.

import { html } from "../vendor/preact.js";
import { place, to } from "../router.js";
import { may } from "../session.js";
import { Empty } from "../parts/parts.js";
import { AuditLog } from "./audit-log.js";
import { ConsentPurposes } from "./consent-purposes.js";
import { Keys } from "./keys.js";
import { HouseRules, Retention } from "./operator-settings.js";

const TABS = [
  ["", "API keys", Keys],
  ["consent", "Consent", ConsentPurposes],
  ["retention", "Retention", Retention],
  ["rules", "House rules", HouseRules],
  ["audit", "Audit log", AuditLog],
];

export function Settings() {
  const [tab = ""] = place.value.rest;
  const [here, , View] = TABS.find(([name]) => name === tab) || TABS[0];
  return html`<div class="column">
    <header class="page-head"><div><h1>Settings</h1><p>Who may do what, what people agreed to, and what holds for everybody.</p></div></header>
    <nav class="tabs" aria-label="Settings">
      ${TABS.map(
        ([name, words]) =>
          html`<a key=${name} href=${name ? to("settings", name) : to("settings")} aria-current=${name === here ? "page" : undefined}>${words}</a>`,
      )}
    </nav>
    ${may("admin")
      ? html`<${View} />`
      : html`<section class="panel"><${Empty} icon="shield" title="This needs an admin key"><p>Your key lacks the scope <code>admin</code>. Ask the operator, or sign in with another key.</p><//></section>`}
  </div>`;
}
