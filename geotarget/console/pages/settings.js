// Keys, and who changed what.

import { html } from "../vendor/preact.js";
import { place, to } from "../router.js";
import { may } from "../session.js";
import { Empty } from "../parts/parts.js";
import { AuditLog } from "./audit-log.js";
import { Keys } from "./keys.js";

const TABS = [
  ["", "API keys", Keys],
  ["audit", "Audit log", AuditLog],
];

export function Settings() {
  const [tab = ""] = place.value.rest;
  const [, , View] = TABS.find(([name]) => name === tab) || TABS[0];
  return html`<div class="column">
    <header class="page-head"><div><h1>Settings</h1><p>Who may do what, and who did it.</p></div></header>
    <nav class="tabs" aria-label="Settings">
      ${TABS.map(
        ([name, words]) =>
          html`<a key=${name} href=${name ? to("settings", name) : to("settings")} aria-current=${name === tab ? "page" : undefined}>${words}</a>`,
      )}
    </nav>
    ${may("admin")
      ? html`<${View} />`
      : html`<${Empty} icon="shield" title="This needs an admin key"><p>Your key lacks the scope admin. Ask the operator, or sign in with another key.</p><//>`}
  </div>`;
}
