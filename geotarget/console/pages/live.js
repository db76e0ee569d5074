// What happens now: devices on the map, entries and offers as they come, and why.

import { html, useEffect, useState } from "../vendor/preact.js";
import { loadZones, zoneNames, zones, zonesError, zonesOrNone } from "../catalogue.js";
import { figure, instant } from "../format.js";
import { live } from "../live.js";
import { Board } from "../map/board.js";
import { to } from "../router.js";
import { Button, Empty, Icon, Name, Trouble, Waiting } from "../parts/parts.js";

const SHOWN = 60;
const WORDS = { enter: "entered", exit: "left", dwell: "stayed in", crossed: "passed through" };
const FILTERS = [
  ["moves", "Movements", (each) => each.kind === "transition"],
  ["offers", "Offers", (each) => each.gate === "fired"],
  ["refused", "No offer", (each) => each.kind === "decision" && each.gate !== "fired"],
];
const ICONS = { enter: "map-pin", exit: "log-out", dwell: "clock", crossed: "move" };

export function Live() {
  const [chosen, setChosen] = useState("");
  const [paused, setPaused] = useState(null);
  useEffect(() => void (zones.value || loadZones()), []);
  const [what, setWhat] = useState("moves");
  const wanted = FILTERS.find(([name]) => name === what)[2];
  const events = (paused || live.events.value).filter((each) => wanted(each) && (!chosen || each.zone === chosen));
  return html`<div class="map-page">
    <h1 class="unseen">Live</h1>
    <div class="ground">
      <${Board}
        label="Map of zones and devices"
        zones=${zonesOrNone.value}
        chosen=${chosen}
        onChoose=${(id) => setChosen(id === chosen ? "" : id)}
        onReady=${(_map, dots) => live.follow((places) => dots.show(places))}
      />
    </div>
    <aside class="side" aria-label="What happens now">
      <section>
        <h2 class="unseen">Now</h2>
        <${Totals} />
        <${Trouble} error=${zonesError.value} again=${loadZones} />
      </section>
      <section>
        <header class="row spread">
          <h2>${chosen ? html`In <${Name}>${zoneNames.value.get(chosen)}<//>` : "Latest"}</h2>
          <div class="row">
            ${chosen && html`<${Button} kind="small" icon="x" onClick=${() => setChosen("")}>All zones<//>`}
            <${Button}
              kind="small quiet"
              icon=${paused ? "play" : "pause"}
              label=${paused ? "Go on" : "Hold the list still"}
              aria-pressed=${Boolean(paused)}
              onClick=${() => setPaused(paused ? null : live.events.value)}
            />
          </div>
        </header>
        <div class="group" role="group" aria-label="What the list shows">
          ${FILTERS.map(([name, words]) => html`<button type="button" class="button small" key=${name} aria-pressed=${what === name} onClick=${() => setWhat(name)}>${words}</button>`)}
        </div>
        <${Feed} events=${events} />
      </section>
    </aside>
  </div>`;
}

function Totals() {
  const now = live.totals.value;
  const shown = [
    ["Devices", now?.devices],
    ["In a zone", now?.inside],
    ["Offers today", now?.offers],
  ];
  return html`<dl class="figures">
    ${shown.map(
      ([words, number]) => html`<div class="figure" key=${words}><dt>${words}</dt><dd>${figure(number)}</dd></div>`,
    )}
  </dl>`;
}

function Feed({ events }) {
  if (live.state.value === "connecting" && !events.length) return html`<${Waiting} what="Waiting for events" />`;
  if (!events.length) {
    return html`<${Empty} icon="radio-tower" title="Nothing has happened yet">
      <p>Entries and offers appear here as soon as devices publish pings.</p>
    <//>`;
  }
  return html`<ul class="feed">
    ${events.slice(0, SHOWN).map((each) => html`<${Item} key=${each.id} event=${each} />`)}
  </ul>`;
}

function Item({ event }) {
  const zone = zoneNames.value.get(event.zone) || event.zone;
  const device = html`<a href=${to("why", event.device)}><${Name}>${event.device}<//></a>`;
  if (event.kind === "decision") {
    return html`<li>
      <${Icon} name=${event.gate === "fired" ? "send" : "ban"} />
      <span>
        ${event.gate === "fired" ? "Offer to " : "No offer to "}${device}
        <small>${event.campaign} · ${event.gate === "fired" ? zone : event.reason}</small>
      </span>
      <time datetime=${event.time}>${instant(event.time)}</time>
    </li>`;
  }
  return html`<li>
    <${Icon} name=${ICONS[event.what] || "activity"} />
    <span>${device} ${WORDS[event.what] || event.what} <strong><${Name}>${zone}<//></strong></span>
    <time datetime=${event.time}>${instant(event.time)}</time>
  </li>`;
}
