// Pings that could not be taken: what came, where it was wrong, and why. For the app's developer.

import { html, useState } from "../vendor/preact.js";
import { ago, full } from "../format.js";
import { ListTable, usePages } from "../parts/list.js";
import { Button, Empty, Name, Tag } from "../parts/parts.js";

const COLUMNS = [["From"], ["Reason"], ["What is wrong"], ["Came", "right"]];

export function DeadLetters() {
  const pages = usePages("/v1/dead-letters", {});
  return html`<section class="panel flush">
    <header><p>Pings that came and could not be taken: nothing is thrown away in silence.</p><${Button} icon="refresh-cw" onClick=${pages.again}>Refresh<//></header>
    <${ListTable}
      pages=${pages}
      caption="Refused pings"
      columns=${COLUMNS}
      row=${(item) => html`<${Row} key=${item.received + item.source + item.index + item.payload} item=${item} />`}
      empty=${html`<${Empty} icon="circle-check" title="Every ping was understood"><p>A ping that can't be read, or lies outside of its bounds, is kept here with the reason.</p><//>`}
    />
  </section>`;
}

function Row({ item }) {
  const [open, setOpen] = useState(false);
  return html`<tr>
    <th scope="row"><${Name}>${item.source}<//></th>
    <td><${Tag}>${item.reason}<//></td>
    <td class="long">
      ${item.detail}
      <details open=${open} onToggle=${(event) => setOpen(event.target.open)}>
        <summary>What came</summary>
        ${open && html`<pre>${item.payload}</pre>`}
      </details>
    </td>
    <td class="right"><time datetime=${item.received} title=${full(item.received)}>${ago(item.received)}</time></td>
  </tr>`;
}
