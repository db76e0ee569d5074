// When it speaks, how often, for how much, and who is left out for comparison.

import { html } from "../vendor/preact.js";
import { share } from "../format.js";
import { Button, Check, Field, Select, Text } from "../parts/parts.js";
import { fresh } from "./campaign-draft.js";
import { Drop, Section, Span, Toggles, WrongLine } from "./campaign-parts.js";
import { budgetWords, capsWords, DAYS, scheduleWords } from "./campaign-words.js";

/** A day, or a day and a time; as the browser lets people choose it, and any ISO text as it is. */
function Moment({ label, hint, wrong, value, onValue }) {
  const [date, time = ""] = value.split("T");
  const plain = value === "" || /^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$/.test(value);
  if (!plain) return html`<${Text} label=${label} hint="A date and time with its offset, ISO 8601." wrong=${wrong} value=${value} onValue=${onValue} />`;
  const put = (day, hour) => onValue(day ? (hour ? `${day}T${hour}` : day) : "");
  return html`<${Field} ...${{ label, hint, wrong }}>
    ${(wiring) => html`<div class="span">
      <input type="date" value=${date} onInput=${(event) => put(event.target.value, time)} ...${wiring} />
      <input type="time" aria-label=${`${label}: time`} value=${time} disabled=${!date} onInput=${(event) => put(date, event.target.value)} />
    </div>`}
  <//>`;
}

/** What is wrong with a list as a whole, or with one of its rows as a whole. */
const firstOf = (wrong, path, rows) => wrong.exactly(path) || rows.map((_, at) => wrong.exactly(`${path}[${at}]`)).find(Boolean);

/** A time of day; 24:00, which browsers don't know, is a text. */
const Clock = (properties) => html`<${Text} type=${properties.value === "24:00" ? "text" : "time"} ...${properties} />`;

export function Schedule({ form, change, wrong }) {
  const set = (name) => (value) => change({ [name]: value });
  const row = (key, changes) => change({ hours: form.hours.map((each) => (each.key === key ? { ...each, ...changes } : each)) });
  return html`<${Section} title="Schedule" told=${scheduleWords(form)} open=${scheduleWords(form) !== "Always"}>
    <p class="faint">All times are local: each zone goes by its own clock.</p>
    <div class="two">
      <${Moment} label="From" hint="Empty: at once." wrong=${wrong.at("$.schedule.starts")} value=${form.starts} onValue=${set("starts")} />
      <${Moment} label="Until" hint="Without a time that whole day counts. Empty: no end." wrong=${wrong.at("$.schedule.ends")} value=${form.ends} onValue=${set("ends")} />
    </div>
    <div class="field">
      <span class="label" aria-hidden="true">Weekdays</span>
      <${Toggles} label="Weekdays" options=${DAYS} chosen=${form.days} onChosen=${(days) => change({ days: DAYS.map(([day]) => day).filter((day) => days.includes(day)) })} />
      <span class="hint">None chosen: every day.</span>
    </div>
    <fieldset class="rows">
      <legend class="label">Hours</legend>
      ${form.hours.map(
        ({ key, from, to }, at) => html`<div class="row-of" key=${key}>
          <${Clock} label="From" wrong=${wrong.at(`$.schedule.hours[${at}].from`)} value=${from} onValue=${(value) => row(key, { from: value })} />
          <${Clock} label="To" wrong=${wrong.at(`$.schedule.hours[${at}].to`)} value=${to} onValue=${(value) => row(key, { to: value })} />
          <${Drop} label=${`Remove the hours ${from} to ${to}`} onClick=${() => change({ hours: form.hours.filter((each) => each.key !== key) })} />
        </div>`,
      )}
      <${WrongLine} words=${firstOf(wrong, "$.schedule.hours", form.hours)} />
      <span class="hint">${form.hours.length ? "Hours that end before they begin go on into the next day; 00:00 is midnight." : "All day."}</span>
      <div><${Button} kind="small" icon="plus" onClick=${() => change({ hours: [...form.hours, { key: fresh(), from: "09:00", to: "17:00" }] })}>Add hours<//></div>
    </fieldset>
  <//>`;
}

function limitsWords(form) {
  const span = ({ number, unit }) => (number.trim() ? Number(number) * Number(unit) : null);
  const caps = { per_profile: form.caps.map(({ max, span: each }) => ({ max: Number(max), period_s: span(each) })), per_visit: Number(form.perVisit) || null, cooldown_s: span(form.cooldown) };
  const amount = (text) => (text.trim() ? Number(text.replace(",", ".")) : null);
  const budget = { total: amount(form.total), per_day: amount(form.perDay), in: form.unit, pacing: form.pacing };
  const currency = /^[A-Za-z]{3}$/.test(form.currency) ? form.currency.toUpperCase() : "EUR";
  return [capsWords(caps), budgetWords(budget, currency)].filter(Boolean).join(", ") || "None";
}

export function Limits({ form, change, wrong }) {
  const set = (name) => (value) => change({ [name]: value });
  const row = (key, changes) => change({ caps: form.caps.map((each) => (each.key === key ? { ...each, ...changes } : each)) });
  const told = limitsWords(form);
  return html`<${Section} title="Limits" told=${told} open=${told !== "None"}>
    <fieldset class="rows">
      <legend class="label">To one person</legend>
      ${form.caps.map(
        ({ key, max, span }, at) => html`<div class="row-of" key=${key}>
          <${Text} label="At most" inputmode="numeric" wrong=${wrong.at(`$.caps.per_profile[${at}].max`)} value=${max} onValue=${(value) => row(key, { max: value })} />
          <${Span} label="Within" wrong=${wrong.at(`$.caps.per_profile[${at}].period_s`)} value=${span} onValue=${(value) => row(key, { span: value })} />
          <${Drop} label="Remove this limit" onClick=${() => change({ caps: form.caps.filter((each) => each.key !== key) })} />
        </div>`,
      )}
      <${WrongLine} words=${firstOf(wrong, "$.caps.per_profile", form.caps)} />
      ${form.caps.length > 0 && html`<span class="hint">90 days at most. Leave the time empty for “ever”.</span>`}
      <div><${Button} kind="small" icon="plus" onClick=${() => change({ caps: [...form.caps, { key: fresh(), max: "1", span: { number: "1", unit: "86400" } }] })}>Add a limit<//></div>
    </fieldset>
    <div class="fields">
      <${Text} label="On one visit" hint="Empty: no limit." inputmode="numeric" wrong=${wrong.at("$.caps.per_visit")} value=${form.perVisit} onValue=${set("perVisit")} />
      <${Span} label="Pause between two offers" hint="Empty: none." wrong=${wrong.at("$.caps.cooldown_s")} value=${form.cooldown} onValue=${set("cooldown")} />
    </div>
    <fieldset class="stack">
      <legend class="label">Budget</legend>
      <div class="fields three">
        <${Select} label="Counted in" options=${[["offers", "Offers"], ["money", `Money (${form.currency})`]]} value=${form.unit} onValue=${set("unit")} />
        <${Text} label="In all" hint="Empty: no limit." inputmode="decimal" wrong=${wrong.at("$.budget.total")} value=${form.total} onValue=${set("total")} />
        <${Text} label="A day" hint="Empty: no limit." inputmode="decimal" wrong=${wrong.at("$.budget.per_day")} value=${form.perDay} onValue=${set("perDay")} />
      </div>
      ${(form.total || form.perDay) &&
      html`<div class="fields">
        <${Select} label="Pace" options=${[["asap", "As they come"], ["even", "Spread evenly over the time"]]} value=${form.pacing} onValue=${set("pacing")} />
        <${Text} label="Whose midnight begins a day" hint="A time zone, such as Europe/Helsinki." wrong=${wrong.at("$.budget.time_zone")} value=${form.zone} onValue=${set("zone")} />
      </div>`}
      ${form.unit === "money" && (form.total || form.perDay) && !Number(form.cost.replace(",", ".")) && html`<p class="faint">An offer costs nothing so far: say under “Where to” what one costs, or the budget is never used up.</p>`}
    </fieldset>
    <div class="narrow-field">
      <${Text} label="Priority" hint="Of several campaigns that want one visit the highest wins." inputmode="numeric" wrong=${wrong.at("$.priority")} value=${form.priority} onValue=${set("priority")} />
    </div>
    <${Check} label="Stands beside other campaigns" hint="It neither competes with them nor keeps them from speaking." value=${form.withOthers} onValue=${set("withOthers")} />
  <//>`;
}

export function Comparison({ form, change, wrong }) {
  const part = Number(form.holdout.replace(",", ".")) / 100;
  const told = part > 0 ? `${share(part)} held out` : "Nobody is held out";
  return html`<${Section} title="Comparison" told=${told} open=${part > 0}>
    <p>Some people get nothing, by chance. Only by comparing them with the others can you tell whether the offers make people buy, or whether they would have come anyway.</p>
    <div class="fields">
      <${Text} label="Held out, %" hint="10 is usual; 0 to 90." inputmode="decimal" wrong=${wrong.at("$.holdout")} value=${form.holdout} onValue=${(holdout) => change({ holdout })} />
      <${Text} label="Shared group" hint="Campaigns with the same word here hold out the same people. Empty: its own group." wrong=${wrong.at("$.salt")} value=${form.salt} onValue=${(salt) => change({ salt })} />
    </div>
  <//>`;
}
