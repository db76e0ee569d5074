// Pings that could not be taken: what came, where it was wrong, why, and what to do about it.

import { html, useState } from "../vendor/preact.js";
import { ago, full } from "../format.js";
import { go, place, to } from "../router.js";
import { ListTable, usePages } from "../parts/list.js";
import { Button, Empty, Icon, Name, Select, Tag } from "../parts/parts.js";

const COLUMNS = [["From"], ["Reason"], ["What is wrong, and what to do"], ["Came", "right"]];
const REASONS = {
  json: "Not JSON", type: "Wrong type", unsupported: "Members missing", timestamp: "Time", latitude: "Latitude",
  longitude: "Longitude", not_finite: "No number", null_island: "No fix (0, 0)", future: "Clock ahead", device: "Device",
  erased: "Erased", too_many: "Too many", too_large: "Too large", undecodable: "Undecodable",
};

export function DeadLetters() {
  const reason = place.value.query.get("reason") || "";
  const pages = usePages("/v1/dead-letters", { reason });
  const options = [["", "All reasons"], ...Object.entries(REASONS)];
  return html`<section class="panel flush">
    <header class="filters">
      <${Select} label="Reason" value=${reason} onValue=${(chosen) => go("deliveries", "dead-letters", { reason: chosen })} options=${options} />
      <div class="row push"><${Button} icon="refresh-cw" busy=${pages.waiting} onClick=${pages.again}>Refresh<//></div>
    </header>
    <p class="inner faint">Pings that came and could not be taken: nothing is thrown away in silence. They are not tried again by themselves; the app sends better ones.</p>
    <${ListTable}
      pages=${pages}
      caption="Refused pings"
      columns=${COLUMNS}
      row=${(item) => html`<${Row} key=${[item.received, item.source, item.index, item.payload].join(" ")} item=${item} />`}
      empty=${reason
        ? html`<${Empty} icon="circle-check" title="None for this reason"><p>Choose another reason above, or all of them.</p><//>`
        : html`<${Empty} icon="circle-check" title="Every ping was understood">
            <p>A ping that can't be read, or lies outside of its bounds, is kept here with the reason.</p>
            <a class="button" href=${to("deliveries", "connect")}><${Icon} name="radio-tower" />Connect your app</a>
          <//>`}
    />
  </section>`;
}

const WAYS = { http: "over HTTP", intake: "" };

/** The device that a letter is about, as far as its topic or its content says; else "". */
function deviceOf({ source, payload }) {
  const [kind, ...levels] = source.split("/");
  if (kind === "owntracks" && levels.length === 2) return levels.join("/");
  if (levels.length) return levels.at(-1);
  try {
    const { device } = JSON.parse(payload);
    return typeof device === "string" ? device : "";
  } catch {
    return ""; // no JSON, which is why it lies here
  }
}

function Row({ item }) {
  const [open, setOpen] = useState(false);
  const device = deviceOf(item);
  return html`<tr>
    <th scope="row">
      ${device ? html`<a href=${to("why", device)}><${Name}>${device}<//></a>` : html`<${Name}>${item.source}<//>`}
      ${device && WAYS[item.source] !== "" && html`<small><${Name}>${WAYS[item.source] || item.source}<//></small>`}
    </th>
    <td><${Tag}>${REASONS[item.reason] || item.reason}<//></td>
    <td class="long">
      ${item.detail}
      <small>${item.advice}</small>
      <details open=${open} onToggle=${(event) => setOpen(event.target.open)}>
        <summary>What came${item.index != null && ` (number ${item.index + 1} of its message)`}</summary>
        ${open && html`<pre dir="auto">${item.payload}</pre>`}
        ${open && item.encoding === "base64" && html`<small>It is no text: shown as Base64.</small>`}
      </details>
    </td>
    <td class="right"><time datetime=${item.received} title=${full(item.received)}>${ago(item.received)}</time></td>
  </tr>`;
}
