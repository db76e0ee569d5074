// The story of one device in a span of time, newest first: what it did, what campaigns answered and
// which gate refused, what was sent, what was wrong with its pings.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, piece, post } from "../api.js";
import { ago, full, instant, many } from "../format.js";
import { go, place, to } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Name, Select, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { State } from "./delivery-list.js";
import { Gates, GATE_NAMES } from "./gates.js";

const SPANS = [["1", "An hour"], ["24", "24 hours"], ["168", "7 days"]];
const HOUR_MS = 3_600_000;
const SHOWN = 50;

export function Story({ device }) {
  const { query } = place.value;
  const hours = SPANS.some(([each]) => each === query.get("hours")) ? query.get("hours") : "24";
  const until = Date.parse(query.get("to") || "") || null; // null: until now
  const [shown, setShown] = useState(SHOWN);
  useEffect(() => setShown(SHOWN), [hours, until]);
  const path = `/v1/devices/${piece(device)}`;
  const span = () => {
    const end = until || Date.now() + 60_000;
    return { from: new Date(end - Number(hours) * HOUR_MS).toISOString(), ...(until && { to: new Date(end).toISOString() }) };
  };
  const { value, error, waiting, again } = useAnswer((signal) => get(`${path}/explain`, span(), { signal }), [device, hours, until]);
  const move = (changed) => go("why", device, { hours: hours === "24" ? "" : hours, to: query.get("to") || "", ...changed });
  const shift = (times) => {
    const end = (until || Date.now()) + times * Number(hours) * HOUR_MS;
    move({ to: end >= Date.now() ? "" : new Date(end).toISOString() });
  };
  const trace = async () => {
    try {
      await post(`${path}/trace`, { for_s: 3600 });
      say("From now on every ping of this device is explained, for an hour.");
      again();
    } catch (refused) {
      complain(refused);
    }
  };
  const items = value ? [...value.timeline].reverse() : [];
  return html`<section class="panel flush">
    <header class="filters">
      <div>
        <h2><${Name}>${device}<//> ${value?.trace_until && html`<${Tag} kind="accent" icon="eye">Traced until ${instant(value.trace_until)}<//>`}</h2>
        ${value && html`<${Standing} device=${device} value=${value} />`}
      </div>
      <div class="row push">
        <${Select} label="Time" value=${hours} onValue=${(chosen) => move({ hours: chosen === "24" ? "" : chosen })} options=${SPANS} />
        <div class="row low">
          <${Button} icon="chevron-left" label="Earlier" onClick=${() => shift(-1)} />
          <${Button} icon="chevron-right" label="Later" disabled=${!until} onClick=${() => shift(1)} />
          ${may("traces:write") && value && !value.trace_until && html`<${Button} icon="eye" onClick=${trace}>Trace for an hour<//>`}
          <${Button} icon="refresh-cw" label="Refresh" busy=${waiting} onClick=${again} />
        </div>
      </div>
    </header>
    ${until && html`<p class="inner faint" role="status">Until ${full(until)}.</p>`}
    <${Trouble} error=${error} again=${again} />
    ${!value && waiting && html`<${Waiting} what="Loading the story" />`}
    ${value?.devices.length > 0 && html`<${Person} person=${device} devices=${value.devices} />`}
    ${value && !items.length && html`<${Nothing} value=${value} />`}
    ${value?.cut.length > 0 && html`<p class="inner notice warn"><${Icon} name="info" />There is more than is shown of: ${value.cut.join(", ")}. Choose a shorter time.</p>`}
    ${items.length > 0 && html`<ol class="story">${items.slice(0, shown).map((item, position) => html`<${Event} key=${`${item.time} ${position}`} item=${item} />`)}</ol>`}
    ${items.length > shown && html`<div class="more"><${Button} onClick=${() => setShown(shown + SHOWN)}>Show more (${items.length - shown})<//></div>`}
    ${items.length > 0 && html`<details class="inner"><summary>The same in sentences (times are UTC)</summary><div class="stack told">${value.summary.map((line) => html`<p key=${line} dir="auto">${line}</p>`)}</div></details>`}
  </section>`;
}

/** Whose it is and when it was last heard. */
function Standing({ device, value }) {
  const { last_fix: fix, profile } = value;
  return html`<p class="faint">
    ${profile !== device && html`Belongs to <${Name}>${profile}<//> · `}
    ${fix ? html`last heard <time datetime=${fix.time} title=${full(fix.time)}>${ago(fix.time)}</time>, accuracy ${Math.round(fix.accuracy_m)} m` : "never heard of"}
  </p>`;
}

function Person({ person, devices }) {
  return html`<div class="inner">
    <p class="notice"><${Icon} name="users" /><span>
      <${Name}>${person}<//> is a person with ${many(devices.length, "device")}:
      ${devices.map((each, at) => html`${at > 0 && ", "}<a key=${each} href=${to("why", each)}><${Name}>${each}<//></a>`)}
    </span></p>
  </div>`;
}

/** Why there is nothing to tell, and what to do. */
function Nothing({ value }) {
  const known = value.last_fix || value.trace_until;
  if (value.devices.length) return null;
  if (!known) {
    return html`<${Empty} icon="circle-help" title="Nothing was ever heard of it">
      <p>There is neither a device nor a person of this id. Compare it with what the app sends: capitals count.</p>
      <a class="button" href=${to("deliveries", "connect")}><${Icon} name="radio-tower" />Connect your app</a>
    <//>`;
  }
  return html`<${Empty} icon="circle-dashed" title="Nothing in this time">
    <p>The device entered and left nothing, and no ping of it was refused. To see what each ping means for each zone, trace it.</p>
    ${value.summary.slice(1).filter((line) => line.startsWith("Now")).map((line) => html`<p class="faint" key=${line} dir="auto">${line}</p>`)}
  <//>`;
}

const KINDS = { ping: "crosshair", transition: "map-pin", decision: "ban", delivery: "send", refused: "circle-x" };

function Event({ item }) {
  const View = VIEWS[item.what];
  return html`<li>
    <${Icon} name=${item.decision?.gate === "fired" ? "circle-check" : KINDS[item.what]} />
    <div><${View} item=${item} /></div>
    <time datetime=${item.time} title=${full(item.time)}>${instant(item.time)}</time>
  </li>`;
}

/** A line of the story in two: what happened, and the evidence; without the clock, which stands beside it. */
function parted({ text }) {
  const told = text
    .replace(/^(\d{4}-\d\d-\d\d )?\d[\d:.]+ /, "")
    .replace(/ \([A-Z]+\)/, "")
    .replace(/, decided at [\d :.-]+(?=: )/, "");
  const at = told.indexOf(": ");
  const [head, rest] = at < 0 ? [told, ""] : [told.slice(0, at), told.slice(at + 2)];
  return [head, rest].map((each) => each.charAt(0).toUpperCase() + each.slice(1));
}

function Plain({ item }) {
  const [head, rest] = parted(item);
  return html`<p dir="auto"><strong>${head}</strong></p>${rest && html`<p class="faint" dir="auto">${rest}</p>`}`;
}

function Answer({ item: { decision } }) {
  const fired = decision.gate === "fired";
  return html`<p>
      <strong>${fired ? "Offer of " : "No offer of "}<a href=${to("results", "campaign", decision.campaign)}><${Name}>${decision.campaign}<//></a></strong>
      ${!fired && html` <${Tag} kind=${decision.held_out ? "accent" : "warn"}>${GATE_NAMES[decision.gate] || decision.gate}<//>`}
    </p>
    <p dir="auto">${decision.why}</p>
    <details><summary>Gate by gate</summary><${Gates} gates=${decision.gates} /></details>`;
}

function Sent({ item: { delivery } }) {
  return html`<p>
    <a href=${to("deliveries", "of", delivery.id)}>Sent to <${Name}>${delivery.endpoint}<//></a>
    ${" "}<${State} state=${delivery.state} />
    <span class="faint"> ${many(delivery.attempts, "attempt")}${delivery.status && `, last answer ${delivery.status}`}</span>
  </p>`;
}

function Refused({ item: { refused } }) {
  return html`<p><strong>A ping was refused</strong></p>
    <p class="long" dir="auto">${refused.detail}</p>
    <p class="faint">${refused.advice}</p>`;
}

const VIEWS = { ping: Plain, transition: Plain, decision: Answer, delivery: Sent, refused: Refused };
