// Who changed what, and when: a chain that shows when something was taken out of it.

import { html } from "../vendor/preact.js";
import { ago, full } from "../format.js";
import { ListTable, usePages } from "../parts/list.js";
import { Button, Empty, Name } from "../parts/parts.js";

const COLUMNS = [["When"], ["Who"], ["Did"], ["To"], ["Details"]];

export function AuditLog() {
  const pages = usePages("/v1/audit", {});
  return html`<section class="panel flush">
    <header>
      <p>Every change, chained by hashes: <code>geotarget audit verify</code> finds out whether the log was tampered with.</p>
      <${Button} icon="refresh-cw" onClick=${pages.again}>Refresh<//>
    </header>
    <${ListTable}
      pages=${pages}
      caption="Audit log"
      columns=${COLUMNS}
      row=${(item) => html`<tr key=${item.number}>
        <td><time datetime=${item.time} title=${full(item.time)}>${ago(item.time)}</time></td>
        <th scope="row"><${Name}>${item.actor}<//></th>
        <td>${item.action}</td>
        <td class="long" title=${item.subject}><${Name}>${brief(item.subject)}<//></td>
        <td class="long faint">${details(item.detail)}</td>
      </tr>`}
      empty=${html`<${Empty} icon="history" title="Nothing was changed yet"><p>Every change of a zone, campaign, endpoint or key is noted here.</p><//>`}
    />
  </section>`;
}

/** Pseudonyms of people are long digests: their beginning tells them apart, the title has the rest. */
const brief = (subject) => subject.replace(/^((?:profile|device):[0-9a-f]{8})[0-9a-f]{20,}$/, "$1…");

const details = (detail) =>
  Object.entries(detail || {})
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(", ");
