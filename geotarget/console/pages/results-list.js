// All campaigns side by side, and the way to the foot traffic of each zone.

import { html, useEffect } from "../vendor/preact.js";
import { loadZones, zones } from "../catalogue.js";
import { count, money, share } from "../format.js";
import { go, to } from "../router.js";
import { ListTable, usePages } from "../parts/list.js";
import { Empty, Name, Select, Tag } from "../parts/parts.js";
import { VERDICTS } from "./campaign-lift.js";

export const STATUS = {
  active: ["good", "Running"],
  paused: ["warn", "Paused"],
  draft: ["", "Draft"],
  scheduled: ["accent", "Planned"],
  ended: ["", "Ended"],
};
const COLUMNS = [["Campaign"], ["Status"], ["Offers", "right"], ["Converted", "right"], ["Rate", "right"], ["Cost", "right"], ["Revenue", "right"], ["Does it work?"]];

export function ResultsList() {
  const pages = usePages("/v1/reports/campaigns", {});
  useEffect(() => void (zones.value || loadZones()), []);
  return html`<div class="column">
    <header class="page-head">
      <div><h1>Results</h1><p>What was sent, what it cost, what came of it, and whether it would have come anyway.</p></div>
      <div class="actions">
        <${Select}
          label="Foot traffic of a zone"
          value=""
          onValue=${(id) => id && go("results", "zone", id)}
          options=${[["", "Choose a zone …"], ...(zones.value || []).map((zone) => [zone.id, zone.properties.name || zone.id])]}
        />
      </div>
    </header>
    <section class="panel flush">
      <${ListTable}
        pages=${pages}
        caption="Campaigns and what came of them"
        columns=${COLUMNS}
        row=${(item) => html`<${Row} key=${item.campaign} item=${item} />`}
        empty=${html`<${Empty} icon="chart-column" title="No campaign has run yet"><p>As soon as one fires, its results are here.</p><a class="button main" href=${to("campaigns")}>Go to campaigns</a><//>`}
      />
    </section>
    ${pages.items?.length > 0 && html`<p class="faint">– stands for counts of too few people to be shown.</p>`}
  </div>`;
}

function Row({ item }) {
  const { total, comparison } = item;
  const [kind, words] = STATUS[item.status] || ["", item.status];
  const verdict = VERDICTS[comparison.verdict];
  return html`<tr class="opens">
    <th scope="row"><a href=${to("results", "campaign", item.campaign)}><${Name}>${item.name || item.campaign}<//></a><small><${Name}>${item.campaign}<//></small></th>
    <td><${Tag} kind=${kind}>${words}<//></td>
    <td class="right">${count(total.fired)}</td>
    <td class="right">${count(total.conversions)}</td>
    <td class="right">${share(total.conversion_rate)}</td>
    <td class="right">${money(total.cost, total.currency)}</td>
    <td class="right">${total.revenue?.map(({ currency, value }) => html`<div key=${currency}>${money(value, currency)}</div>`) ?? "–"}</td>
    <td>${verdict && html`<${Tag} kind=${verdict.kind} icon=${verdict.icon}>${verdict.words}<//>`}<small>${comparison.sentence}</small></td>
  </tr>`;
}
