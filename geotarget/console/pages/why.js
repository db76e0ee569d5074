// Why a device got an offer, or did not: everything that is known of it, in order, in words.

import { html, useState } from "../vendor/preact.js";
import { get, piece, post } from "../api.js";
import { instant, full } from "../format.js";
import { go, place, to } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Name, Select, Tag, Text, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";

const KINDS = {
  ping: "crosshair", transition: "map-pin", decision: "list-filter", delivery: "send", refused: "circle-x",
};
const ANSWERS = { passed: ["good", "check", "Passed"], refused: ["bad", "x", "Refused"], skipped: ["", "minus", "Not asked"] };

export function Why() {
  const [device = ""] = place.value.rest;
  const [typed, setTyped] = useState(device);
  const find = (event) => {
    event.preventDefault();
    if (typed.trim()) go("why", typed.trim());
  };
  return html`<div class="column">
    <header class="page-head">
      <div><h1>Why?</h1><p>What happened to one device, and why an offer was sent or was not.</p></div>
      <form class="actions" onSubmit=${find}>
        <${Text} label="Device" type="search" placeholder="walker-017" value=${typed} onValue=${setTyped} />
        <${Button} type="submit" kind="main low" icon="search">Explain<//>
      </form>
    </header>
    ${device
      ? html`<${Story} device=${device} key=${device} />`
      : html`<section class="panel"><${Empty} icon="circle-help" title="Which device?"><p>Type its id, or click one on the live page.</p><//></section>`}
  </div>`;
}

const SPANS = [["1", "Last hour"], ["24", "Last 24 hours"], ["168", "Last 7 days"]];

function Story({ device }) {
  const [hours, setHours] = useState("24");
  const path = `/v1/devices/${piece(device)}`;
  const from = () => new Date(Date.now() - Number(hours) * 3_600_000).toISOString();
  const { value, error, waiting, again } = useAnswer((signal) => get(`${path}/explain`, { from: from() }, { signal }), [device, hours]);
  const trace = async () => {
    try {
      await post(`${path}/trace`, {});
      say("From now on every ping of this device is explained, for an hour.");
      again();
    } catch (refused) {
      complain(refused);
    }
  };
  const items = value ? [...value.timeline].reverse() : [];
  return html`<section class="panel flush">
    <header class="filters">
      <h2><${Name}>${device}<//> ${value?.traced && html`<${Tag} kind="accent" icon="eye">Traced until ${instant(value.trace_until)}<//>`}</h2>
      <div class="row push">
        <${Select} label="Time" value=${hours} onValue=${setHours} options=${SPANS} />
        ${may("traces:write") && !value?.traced && html`<${Button} kind="low" icon="eye" onClick=${trace}>Trace for an hour<//>`}
        <${Button} kind="low" icon="refresh-cw" busy=${waiting} onClick=${again}>Refresh<//>
      </div>
    </header>
    <${Trouble} error=${error} again=${again} />
    ${!value && waiting && html`<${Waiting} />`}
    ${value && html`<div class="inner stack">${value.summary.map((line) => html`<p key=${line}>${line}</p>`)}</div>`}
    ${value && !items.length && html`<${Empty} icon="circle-dashed" title="Nothing in this time"><p>The device entered and left nothing, and no ping of it was refused.</p><//>`}
    <ol class="story">
      ${items.map((item, position) => html`<${Event} key=${position} item=${item} />`)}
    </ol>
  </section>`;
}

function Event({ item }) {
  const { decision } = item;
  const fired = decision?.gate === "fired";
  return html`<li>
    <${Icon} name=${fired ? "send" : KINDS[item.what] || "activity"} />
    <div>
      <p>${sentence(item)}</p>
      ${decision?.gates && html`<details><summary>Gate by gate</summary><${Gates} gates=${decision.gates} /></details>`}
      ${item.delivery && html`<p><a href=${to("deliveries", "of", item.delivery.id)}>Open the delivery</a></p>`}
    </div>
    <time datetime=${item.time} title=${full(item.time)}>${instant(item.time)}</time>
  </li>`;
}

/** The line of the story without the clock that it begins with: it stands beside it. */
const sentence = ({ text }) => {
  const said = text.replace(/^[\d:.]+ /, "");
  return said.charAt(0).toUpperCase() + said.slice(1);
};

function Gates({ gates }) {
  return html`<ol class="gates">
    ${gates.map(({ gate, asks, answer, text }) => {
      const [kind, icon, words] = ANSWERS[answer] || ["", "minus", answer];
      return html`<li key=${gate}><${Tag} kind=${kind} icon=${icon}>${words}<//><span>${asks}?${text && html`<small>${text}</small>`}</span></li>`;
    })}
  </ol>`;
}
