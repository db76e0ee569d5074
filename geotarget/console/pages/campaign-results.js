// One campaign's results: the funnel, who was refused by which gate, money, lift, and by day, zone
// or variant.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, piece } from "../api.js";
import { loadZones, zoneNames, zones } from "../catalogue.js";
import { count, day, figure, money, share } from "../format.js";
import { to } from "../router.js";
import { Bars, Lines } from "../parts/chart.js";
import { Empty, Icon, Name, Select, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { Lift, VERDICTS } from "./campaign-lift.js";
import { STATUS } from "./results-list.js";

const STEPS = { entries: "Entries", eligible: "Could have got it", fired: "Offers sent", delivered: "Offers delivered", converted: "Converted" };
export const GATES = {
  trigger: "Too late, or already inside", schedule: "Not at this hour", consent: "No consent", audience: "Not in the audience",
  holdout: "Held out for comparison", cap: "Had enough offers", budget: "No budget left", arbitration: "Another campaign came first",
  variant: "No variant fits", content: "The offer could not be written",
};
const BY = [["day", "Day"], ["zone", "Zone"], ["variant", "Variant"]];

const times = (number) => `${new Intl.NumberFormat(navigator.language, { maximumSignificantDigits: 2 }).format(number)} ×`;

function daysAgo(days) {
  return new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);
}

export function CampaignResults({ id }) {
  useEffect(() => void (zones.value || loadZones()), []);
  const [by, setBy] = useState("day");
  const [span, setSpan] = useState("");
  const query = { by, ...(span && { from: daysAgo(Number(span)) }) };
  const path = `/v1/reports/campaigns/${piece(id)}`;
  const { value, error, waiting, again } = useAnswer((signal) => get(path, query, { signal }), [id, by, span]);
  const csv = `${path}?${new URLSearchParams({ ...query, format: "csv" })}`;
  const [kind, words] = STATUS[value?.status] || ["", value?.status];
  return html`<div class="column">
    <p><a class="back" href=${to("results")}><${Icon} name="chevron-left" small /> Results</a></p>
    <header class="page-head">
      <div>
        <h1><${Name}>${value?.name || id}<//> ${value && html`<${Tag} kind=${kind}>${words}<//>`}</h1>
        <p><${Name}>${id}<//></p>
      </div>
      <div class="actions">
        <${Select} label="Time" value=${span} onValue=${setSpan} options=${[["", "All of it"], ["1", "Since yesterday"], ["7", "Last 7 days"], ["30", "Last 30 days"]]} />
        <a class="button low" href=${csv} download=${`${id}.csv`}><${Icon} name="download" />CSV</a>
        <a class="button low" href=${to("campaigns", id)}><${Icon} name="pencil" />Campaign</a>
      </div>
    </header>
    ${error?.status === 404 ? html`<${Empty} icon="chart-column" title="There is no such campaign" />` : html`<${Trouble} error=${error} again=${again} />`}
    ${!value && waiting && html`<${Waiting} />`}
    ${value && html`<${Report} report=${value} by=${by} setBy=${setBy} />`}
  </div>`;
}

function Report({ report, by, setBy }) {
  const { total, funnel, comparison } = report;
  const first = funnel[0]?.count || 0;
  const refused = Object.entries({ ...total.refused, ...(total.held_out && { holdout: total.held_out }) }).sort(([, one], [, other]) => other - one);
  const verdict = VERDICTS[comparison.verdict];
  const ofEntries = (number) => (first && number != null ? share(number / first, 0) : "");
  if (first === 0) {
    return html`<${Empty} icon="chart-column" title="Nothing has happened in this time"><p>As soon as somebody does what starts this campaign, its figures are here: those who got an offer, and those who did not and why.</p><//>`;
  }
  return html`<dl class="figures">
      <${Figure} words="Offers sent" value=${figure(total.fired)} />
      <${Figure} words="Converted" value=${figure(total.conversions)} note=${total.conversion_rate != null && share(total.conversion_rate)} />
      <${Figure} words="Revenue" value=${total.revenue?.length ? total.revenue.map(({ currency, value }) => money(value, currency)).join(", ") : "–"} note=${total.roi != null && `${times(total.roi + 1)} the cost`} />
      <${Figure} words="Cost" value=${money(total.cost, total.currency)} note=${total.cost_per_conversion > 0 && `${money(total.cost_per_conversion, total.currency)} each`} />
    </dl>
    <section class="panel">
      <header class="row"><h2>Does it work?</h2>${verdict && html`<${Tag} kind=${verdict.kind} icon=${verdict.icon}>${verdict.words}<//>`}</header>
      <p class="sentence">${comparison.sentence}</p>
      ${comparison.treated.people != null && html`<${Lift} comparison=${comparison} variants=${report.variants} currency=${total.currency} />`}
    </section>
    <div class="two">
      <section class="panel">
        <header><h2>From entry to conversion</h2></header>
        <${Bars} label="Funnel" items=${funnel.map(({ step, count: number }) => ({ words: STEPS[step] || step, value: number, note: ofEntries(number) }))} />
      </section>
      <section class="panel">
        <header><h2>Why no offer was sent</h2></header>
        ${refused.length
          ? html`<${Bars} label="Refusals by gate" items=${refused.map(([gate, number]) => ({ words: GATES[gate] || gate, value: number, note: ofEntries(number) }))} />`
          : html`<p class="faint">Nobody was refused.</p>`}
      </section>
    </div>
    <section class="panel">
      <header class="row">
        <h2>${BY.find(([name]) => name === by)[1]} by ${BY.find(([name]) => name === by)[1].toLowerCase()}</h2>
        <div class="group" role="group" aria-label="Rows by">
          ${BY.map(([name, label]) => html`<button type="button" class="button small" key=${name} aria-pressed=${by === name} onClick=${() => setBy(name)}>${label}</button>`)}
        </div>
      </header>
      ${by === "day" && report.by === "day" && report.rows.length > 3 && html`<${Days} rows=${report.rows} />`}
      ${report.rows.length === 0 ? html`<p class="faint">Nothing in this time.</p>` : html`<${Rows} rows=${report.rows} by=${report.by} />`}
    </section>
    ${report.warnings.map((words) => html`<p class="notice" key=${words}><${Icon} name="info" />${words}</p>`)}`;
}

const Figure = ({ words, value, note }) =>
  html`<div class="figure"><dt>${words}</dt><dd>${value}</dd>${note && html`<dd class="note">${note}</dd>`}</div>`;

function Days({ rows }) {
  const days = rows.map(({ key }) => key);
  const series = [
    { name: "Offers sent", values: rows.map(({ fired }) => fired) },
    { name: "Converted", values: rows.map(({ conversions }) => conversions) },
  ];
  return html`<${Lines} label="Offers and conversions by day" days=${days} series=${series} />`;
}

function Rows({ rows, by }) {
  const named = (key) => ({ day: () => day(key), zone: () => zoneNames.value.get(key) || key })[by]?.() || key || "None chosen";
  return html`<div class="scroll"><table>
    <caption class="unseen">Results by ${by}</caption>
    <thead><tr>
      <th scope="col">${{ day: "Day", zone: "Zone", variant: "Variant" }[by]}</th>
      ${["Entries", "Offers", "Converted", "Rate", "Cost", "Revenue"].map((words) => html`<th scope="col" class="right" key=${words}>${words}</th>`)}
    </tr></thead>
    <tbody>
      ${rows.map(
        (row) => html`<tr key=${row.key}>
          <th scope="row"><${Name}>${named(row.key)}<//></th>
          <td class="right">${count(row.decisions)}</td>
          <td class="right">${count(row.fired)}</td>
          <td class="right">${count(row.conversions)}</td>
          <td class="right">${share(row.conversion_rate)}</td>
          <td class="right">${money(row.cost, row.currency)}</td>
          <td class="right">${row.revenue?.map(({ currency, value }) => money(value, currency)).join(", ") || "–"}</td>
        </tr>`,
      )}
    </tbody>
  </table></div>`;
}
