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
        <td class="long"><${Name}>${item.subject}<//></td>
        <td class="long faint">${details(item.detail)}</td>
      </tr>`}
      empty=${html`<${Empty} icon="history" title="Nothing was changed yet" />`}
    />
  </section>`;
}

const details = (detail) =>
  Object.entries(detail || {})
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(", ");
