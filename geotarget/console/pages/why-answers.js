// The latest answers of campaigns, one a line: who got nothing, by which gate, in plain words.

import { html } from "../vendor/preact.js";
import { all } from "../api.js";
import { loadZones, zoneNames, zones } from "../catalogue.js";
import { full, instant } from "../format.js";
import { go, place, to } from "../router.js";
import { may } from "../session.js";
import { ListTable, usePages } from "../parts/list.js";
import { Button, Empty, Name, Select, Tag, useAnswer } from "../parts/parts.js";
import { GATE_NAMES } from "./gates.js";

const COLUMNS = [["Device"], ["Campaign"], ["What it said"], ["When", "right"]];
const NAMES = ["campaign", "gate", "zone"];

export function Answers() {
  const { query } = place.value;
  const chosen = Object.fromEntries(NAMES.map((name) => [name, query.get(name) || ""]));
  const pages = usePages("/v1/decisions", chosen);
  const campaigns = useAnswer(() => (may("campaigns:read") ? all("/v1/campaigns") : Promise.resolve([])));
  useAnswer(() => (may("zones:read") && !zones.value ? loadZones() : Promise.resolve()));
  const choose = (name) => (value) => go("why", { ...chosen, [name]: value });
  const named = (campaigns.value || []).map(({ id, name }) => [id, name || id]);
  if (chosen.campaign && !named.some(([id]) => id === chosen.campaign)) named.unshift([chosen.campaign, chosen.campaign]);
  return html`<section class="panel flush">
    <header class="filters">
      <${Select} label="Campaign" value=${chosen.campaign} onValue=${choose("campaign")} options=${[["", "All"], ...named]} />
      <${Select}
        label="Answer"
        value=${chosen.gate}
        onValue=${choose("gate")}
        options=${[["", "All"], ["fired", "Offer made"], ...Object.entries(GATE_NAMES).map(([gate, words]) => [gate, `Refused by: ${words}`])]}
      />
      ${chosen.zone && html`<${Button} kind="low" icon="x" onClick=${() => choose("zone")("")}>In <${Name}>${zoneNames.value.get(chosen.zone) || chosen.zone}<//><//>`}
      <div class="row push"><${Button} icon="refresh-cw" busy=${pages.waiting} onClick=${pages.again}>Refresh<//></div>
    </header>
    <${ListTable}
      pages=${pages}
      caption="Latest answers"
      columns=${COLUMNS}
      row=${(item) => html`<${Row} key=${item.id} item=${item} />`}
      empty=${html`<${Empty} icon="circle-help" title=${NAMES.some((name) => chosen[name]) ? "Nothing matches" : "No campaign was asked yet"}>
        <p>Type the id of a device or a person above, or click a device on the live page.</p>
      <//>`}
    />
  </section>`;
}

function Row({ item }) {
  const fired = item.gate === "fired";
  return html`<tr class="opens">
    <th scope="row">
      <a href=${to("why", item.device)}><${Name}>${item.device}<//></a>
      <small><${Name}>${zoneNames.value.get(item.zone) || item.zone}<//></small>
    </th>
    <td><${Name}>${item.campaign}<//></td>
    <td class="long">
      ${fired ? html`<${Tag} kind="good" icon="send">Offer made<//>` : html`<${Tag}>${GATE_NAMES[item.gate] || item.gate}<//> <span dir="auto">${item.why}</span>`}
    </td>
    <td class="right"><time datetime=${item.time} title=${full(item.time)}>${instant(item.time)}</time></td>
  </tr>`;
}
