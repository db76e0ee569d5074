// Rows of conditions that write a rule, for those who don't want to write CEL.

import { html, signal, useEffect, useId, useRef, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { zones } from "../catalogue.js";
import { may } from "../session.js";
import { Icon, Select, Text } from "../parts/parts.js";
import { BLANKS, celOf, conditionsOf, OPERATORS, ruleOf } from "./audience-cel.js";
import { fresh } from "./campaign-draft.js";
import { Drop } from "./campaign-parts.js";

const KINDS = [
  ["attribute", "What is known of them"],
  ["visited", "Visits"],
  ["away", "Has not come for some time"],
  ["bought", "Purchases"],
  ["spent", "Money spent"],
  ["offered", "Few offers so far"],
];
const TIMES = [[">=", "at least"], ["<", "fewer than"]];
const PLACES = [["here", "this zone"], ["zone", "one zone"], ["tag", "zones tagged"], ["total", "any zone"]];

/** What profiles say, asked once: {name, profiles, values}. */
const attributes = signal(null);

async function loadAttributes() {
  if (attributes.value || !may("audiences:read")) return;
  attributes.value = [];
  try {
    attributes.value = (await get("/v1/audiences:attributes")).items;
  } catch {
    attributes.value = null; // only suggestions: names can be typed without them
  }
}

const keyed = (read) => read && { ...read, conditions: read.conditions.map((each) => ({ key: fresh(), ...each })) };

/** Conditions for the rule; a rule that was typed by hand is read again. */
export function Builder({ rule, onRule }) {
  const box = useRef();
  const [state, setState] = useState(() => ({ rule, read: keyed(conditionsOf(rule)) }));
  useEffect(() => void loadAttributes(), []);
  let { read } = state;
  if (state.rule !== rule) {
    read = keyed(conditionsOf(rule));
    setState({ rule, read });
  }
  if (!read) {
    return html`<p class="notice"><${Icon} name="info" />This rule says more than conditions can show. Change it as text below, or empty it to begin with conditions.</p>`;
  }
  const put = (next) => {
    const made = ruleOf(next);
    setState({ rule: made, read: next });
    if (made !== rule) onRule(made);
  };
  const { conditions, join } = read;
  const edit = (key, changes) => put({ ...read, conditions: conditions.map((each) => (each.key === key ? { ...each, ...changes } : each)) });
  const add = (kind) => {
    put({ ...read, conditions: [...conditions, { key: fresh(), ...BLANKS[kind] }] });
    requestAnimationFrame(() => [...box.current.querySelectorAll(".condition")].at(-1)?.querySelector("input, select").focus());
  };
  return html`<fieldset class="rows conditions" ref=${box}>
    <legend class="label">Conditions</legend>
    ${conditions.length > 1 &&
    html`<div class="toggles" role="group" aria-label="How many of them must hold">
      ${[["&&", "All must hold"], ["||", "One is enough"]].map(
        ([each, words]) => html`<button type="button" class="toggle" key=${each} aria-pressed=${join === each} onClick=${() => put({ ...read, join: each })}>${words}</button>`,
      )}
    </div>`}
    ${conditions.map((each) => html`<${Condition} key=${each.key} condition=${each} edit=${(changes) => edit(each.key, changes)} onDrop=${() => put({ ...read, conditions: conditions.filter(({ key }) => key !== each.key) })} />`)}
    <div class="narrow-field">
      <${Select} label="Add a condition" value="" onValue=${(kind) => kind && add(kind)} options=${[["", "Choose …"], ...KINDS]} key=${conditions.length} />
    </div>
  </fieldset>`;
}

function Condition({ condition, edit, onDrop }) {
  const set = (name) => (value) => edit({ [name]: value });
  const words = KINDS.find(([kind]) => kind === condition.kind)[1];
  const Fields = FIELDS[condition.kind];
  return html`<fieldset class="condition">
    <legend class="unseen">${words}</legend>
    <p class="kind" aria-hidden="true">${words}</p>
    <div class="row-of"><div class="cells"><${Fields} condition=${condition} set=${set} edit=${edit} /></div><${Drop} label=${`Remove: ${words}`} onClick=${onDrop} /></div>
    ${celOf(condition) === null && html`<p class="hint">Not finished: it does not count yet.</p>`}
  </fieldset>`;
}

const Days = ({ condition, set, label = "In the last … days" }) =>
  html`<${Text} label=${label} inputmode="numeric" value=${condition.days} onValue=${set("days")} />`;
const Times = ({ condition, set }) => html`<${Select} label="How often" options=${condition.op === "==" ? [...TIMES, ["==", "exactly"]] : TIMES} value=${condition.op} onValue=${set("op")} />
  <${Text} label="Times" inputmode="numeric" value=${condition.times} onValue=${set("times")} />`;

function Place({ condition, set, edit, any = true }) {
  const tags = [...new Set((zones.value || []).flatMap((zone) => zone.properties.tags || []))].sort();
  const choices =
    condition.where === "zone"
      ? (zones.value || []).map((zone) => [zone.id, zone.properties.name || zone.id])
      : tags.map((tag) => [tag, tag]);
  const { target } = condition;
  const shown = [["", "Choose …"], ...(target && !choices.some(([each]) => each === target) ? [[target, target]] : []), ...choices];
  const needs = condition.where === "zone" || condition.where === "tag";
  return html`<${Select} label="Where" options=${any ? PLACES : PLACES.slice(0, 3)} value=${condition.where} onValue=${(where) => edit({ where, target: "" })} />
    ${needs && html`<${Select} label=${condition.where === "zone" ? "Zone" : "Tag"} options=${shown} value=${target} onValue=${set("target")} />`}`;
}

function Attribute({ condition, set }) {
  const [names, values] = [useId(), useId()];
  const known = attributes.value || [];
  const said = known.find(({ name }) => name === condition.name.trim())?.values || [];
  return html`<${Text} label="Attribute" placeholder="tier" list=${names} autocomplete="off" value=${condition.name} onValue=${set("name")} />
    <datalist id=${names}>${known.map(({ name }) => html`<option key=${name} value=${name}></option>`)}</datalist>
    <${Select} label="Must be so" options=${OPERATORS.map(([op, words]) => [op, words])} value=${condition.op} onValue=${set("op")} />
    ${condition.op !== "known" &&
    html`<${Text} label="Value" placeholder=${said.length ? String(said[0]) : "gold"} title="Put a number in quotes, such as '18', if it is a text" list=${values} autocomplete="off" value=${condition.value} onValue=${set("value")} />
      <datalist id=${values}>${said.map((value) => html`<option key=${value} value=${String(value)}></option>`)}</datalist>`}`;
}

const FIELDS = {
  attribute: Attribute,
  visited: ({ condition, set, edit }) => html`<${Place} ...${{ condition, set, edit }} /><${Times} ...${{ condition, set }} /><${Days} ...${{ condition, set }} />`,
  away: ({ condition, set, edit }) => html`<${Place} ...${{ condition, set, edit }} any=${false} /><${Days} ...${{ condition, set }} label="More than … days" />`,
  bought: ({ condition, set }) => html`<${Text} label="Category" placeholder="any" value=${condition.category} onValue=${set("category")} /><${Times} ...${{ condition, set }} /><${Days} ...${{ condition, set }} />`,
  spent: ({ condition, set }) => html`<${Text} label="At least" inputmode="decimal" value=${condition.amount} onValue=${set("amount")} /><${Days} ...${{ condition, set }} />`,
  offered: ({ condition, set }) => html`<${Text} label="Fewer offers than" inputmode="numeric" value=${condition.times} onValue=${set("times")} /><${Days} ...${{ condition, set }} />`,
};
