// What a campaign would have done over the last days, as it stands in the form: a dialog with one
// sentence first, then days, refusals and zones, and what the answer can't know.

import { html, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { instant, many, money, share } from "../format.js";
import { may } from "../session.js";
import { Bars, Lines } from "../parts/chart.js";
import { Button, Dialog, Empty, Icon, Name, Select, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { address } from "./campaign-actions.js";
import { documentOf, lacks } from "./campaign-draft.js";
import { GATES } from "./campaign-results.js";

const SPANS = [["1", "The last day"], ["3", "The last 3 days"], ["7", "The last 7 days"], ["14", "The last 14 days"], ["31", "The last 31 days"]];
const MOST_BARS = 14;
/** What it may lack and still be tried: nobody is told, so it does not matter who or what. */
const NOT_NEEDED = new Set(["$.name", "$.endpoints"]);

/** Whether this key may try campaigns. */
export const mayTry = () => may("reports:read");

/** The document with what it lacks to be tried, but is not needed for it. */
function whole(document) {
  const { name, offer, variants, endpoints } = document;
  const said = (fields, other) => (fields && Object.keys(fields).length ? fields : { title: other });
  return {
    ...document,
    name: name || "Draft",
    endpoints: endpoints.length ? endpoints : ["draft"],
    offer: offer && said(offer, name || "Draft"),
    variants: variants.map((each, at) => ({ ...each, id: each.id || String(at + 1), offer: said(each.offer, each.id || "Draft") })),
  };
}

function weekday(date) {
  return new Date(`${date}T12:00`).toLocaleDateString(navigator.language, { weekday: "short", day: "numeric", month: "short" });
}

/**
 * @param {{form: object, id: string, stored: boolean, onClose: () => void}} properties
 *   `stored`: the form says what is stored under `id`. Else the form is tried, as a draft of that id.
 */
export function Backtest({ form, id, stored, onClose }) {
  const [days, setDays] = useState("7");
  const { document, errors } = documentOf(form);
  const left = stored ? [] : [...lacks(form, false).filter(({ path }) => !NOT_NEEDED.has(path)), ...errors];
  if (!stored && (document.audience || document.audiences.length) && !may("audiences:read")) {
    left.push({ path: "$.audience", reason: "your key needs the right audiences:read to ask who is meant" });
  }
  const ask = (signal) => {
    if (left.length) return Promise.resolve(null);
    const path = stored ? `${address(id)}:backtest` : "/v1/campaigns:backtest";
    const body = stored ? {} : { campaign: whole(document), ...(id && { id }) };
    return post(path, { ...body, days: Number(days) }, { signal });
  };
  const { value, error, waiting, again } = useAnswer(ask, [days]);
  return html`<${Dialog}
    wide
    title="Try it on the last days"
    onClose=${onClose}
    foot=${html`<${Button} onClick=${onClose}>Close<//>`}
  >
    <div class="row low-row">
      <${Select} label="Look back over" value=${days} onValue=${setDays} options=${SPANS} />
      <p class="faint tried-on">What this node has seen is decided once more, together with the other campaigns. Nothing is sent or stored.</p>
    </div>
    <div class="backtest stack" aria-busy=${waiting ? "true" : undefined}>
      ${left.length > 0
        ? html`<${Lacking} left=${left} />`
        : waiting
          ? html`<div><${Waiting} what="Trying it on the last days" /><p class="faint tried-on">With much history this takes up to 20 seconds.</p></div>`
          : error
            ? html`<${Trouble} error=${error} again=${again} />`
            : html`<${Answer} answer=${value} />`}
    </div>
  <//>`;
}

/** What the form must say before anything can be tried. */
const Lacking = ({ left }) => html`<div class="notice warn" role="alert">
  <${Icon} name="triangle-alert" />
  <div>It can’t be tried yet: <ul>${left.map(({ path, reason }) => html`<li key=${path}>${reason[0].toUpperCase() + reason.slice(1)}</li>`)}</ul></div>
</div>`;

function Answer({ answer }) {
  if (!answer.transitions) {
    return html`<${Empty} icon="flask-conical" title="Nothing to try it on yet">
      <p role="status">${answer.sentence} It becomes useful once devices have been moving in and out of your zones for a day or two.</p>
    <//>`;
  }
  const { offers, by_zone: zones, more_zones: more, by_variant: variants } = answer;
  const refused = answer.refused.map(({ gate, count: number }) => ({ words: GATES[gate] || gate, value: number }));
  const funnel = [["Movements seen", answer.transitions], ["It answers", answer.answered], ["Could have got it", answer.eligible], ["Offers", offers]];
  const of = (number) => (offers ? share(number / offers, 0) : "");
  return html`<p class="sentence" role="status">${answer.sentence}</p>
    ${!(answer.complete && !answer.cut) && html`<p class="notice warn"><${Icon} name="triangle-alert" />${answer.notes[0]}</p>`}
    <div class="two">
      <section>
        <h3>From movement to offer</h3>
        <${Bars} label="From movement to offer" items=${funnel.map(([words, value]) => ({ words, value }))} />
      </section>
      <section>
        <h3>Why no offer</h3>
        ${refused.length ? html`<${Bars} label="Refusals by gate" items=${refused} />` : html`<p class="faint">Nobody was refused.</p>`}
      </section>
    </div>
    ${offers > 0 &&
    html`<section><h3>By day</h3><${Days} answer=${answer} /></section>
      <div class="two">
        <section>
          <h3>By zone</h3>
          <${Bars} label="Offers by zone" items=${zones.map(({ zone, name, offers: sent }) => ({ words: html`<${Name} key=${zone}>${name}<//>`, value: sent, note: of(sent) }))} />
          ${more > 0 && html`<p class="faint">and ${many(more, "other zone")}</p>`}
        </section>
        ${variants.length > 0 &&
        html`<section>
          <h3>By variant</h3>
          <${Bars} label="Offers by variant" items=${variants.map(({ variant, offers: sent }) => ({ words: html`<${Name} key=${variant}>${variant}<//>`, value: sent, note: of(sent) }))} />
        </section>`}
      </div>`}
    <section class="to-know">
      <h3>What to know about this</h3>
      <ul>${answer.notes.map((words) => html`<li key=${words}>${words}</li>`)}</ul>
      <p>${many(answer.transitions, "movement")} from ${instant(answer.first)} to ${instant(answer.last)}, tried in ${answer.took_s.toFixed(1)} s.</p>
    </section>`;
}

/** Offers by day, beside what a day may cost. */
function Days({ answer }) {
  const { by_day: days, budget, currency, cost } = answer;
  const inMoney = budget?.in === "money";
  const spent = (each) => (inMoney ? each.cost : each.offers);
  const note = (each) => {
    if (budget?.per_day) return share(spent(each) / budget.per_day);
    return cost ? money(each.cost, currency) : "";
  };
  const bound = budget?.per_day && html`<p class="faint">${days.length > MOST_BARS ? "The budget of a day is" : "With the part of the budget of a day, which is"} ${inMoney ? money(budget.per_day, currency) : many(budget.per_day, "offer")}.</p>`;
  if (days.length > MOST_BARS) {
    const series = [{ name: "Offers", values: days.map(({ offers }) => offers) }];
    return html`<${Lines} label="Offers by day" days=${days.map((each) => each.day)} series=${series} />${bound}`;
  }
  const items = days.map((each) => ({ words: weekday(each.day), value: each.offers, note: note(each) }));
  return html`<${Bars} label="Offers by day" items=${items} />${bound}`;
}
