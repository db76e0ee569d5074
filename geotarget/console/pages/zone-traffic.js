// The foot traffic of one zone: visits by day and hour, how long people stayed, who came again.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, piece } from "../api.js";
import { loadZones, zoneNames, zones } from "../catalogue.js";
import { day, duration, figure, share } from "../format.js";
import { to } from "../router.js";
import { Bars, Lines } from "../parts/chart.js";
import { Empty, Icon, Name, Select, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { Hours } from "./zone-hours.js";

const WEEKDAYS = { mon: "Monday", tue: "Tuesday", wed: "Wednesday", thu: "Thursday", fri: "Friday", sat: "Saturday", sun: "Sunday" };

function stay(key) {
  const [from, to] = key.replace("+", "").split("-").map(Number);
  if (to === undefined) return `${duration(from)} and more`;
  return from === 0 ? `less than ${duration(to)}` : `${duration(from)} to ${duration(to)}`;
}

export function ZoneTraffic({ id }) {
  const [days, setDays] = useState("30");
  useEffect(() => void (zones.value || loadZones()), []);
  const from = new Date(Date.now() - (Number(days) - 1) * 86_400_000).toISOString().slice(0, 10);
  const path = `/v1/reports/zones/${piece(id)}`;
  const { value, error, waiting, again } = useAnswer((signal) => get(path, { from }, { signal }), [id, days]);
  return html`<div class="column">
    <p><a class="back" href=${to("results")}><${Icon} name="chevron-left" small /> Results</a></p>
    <header class="page-head">
      <div><h1><${Name}>${zoneNames.value.get(id) || id}<//></h1><p>Foot traffic${value && `, on the clock of ${value.time_zone}`}</p></div>
      <div class="actions">
        <${Select} label="Time" value=${days} onValue=${setDays} options=${[["7", "Last 7 days"], ["30", "Last 30 days"], ["90", "Last 90 days"]]} />
        <a class="button low" href=${`${path}?${new URLSearchParams({ from, format: "csv" })}`} download=${`${id}.csv`}><${Icon} name="download" />CSV</a>
        <a class="button low" href=${to("zones", id)}><${Icon} name="map" />Zone</a>
      </div>
    </header>
    ${error?.status === 404 ? html`<${Empty} icon="map" title="There is no such zone" />` : html`<${Trouble} error=${error} again=${again} />`}
    ${!value && waiting && html`<${Waiting} />`}
    ${value && html`<${Traffic} traffic=${value} />`}
  </div>`;
}

const DAYS_OF_A_LINE = 4;

/** Days from the first on of which there is something to tell. */
function told(days) {
  const first = days.findIndex(({ visits }) => visits !== 0);
  return first < 0 ? [] : days.slice(first);
}

function Traffic({ traffic }) {
  const { dwell } = traffic;
  const median = dwell.quantiles_s?.["0.5"];
  const days = told(traffic.days);
  if (days.length === 0) {
    return html`<${Empty} icon="map-pin" title="Nobody has come yet"><p>Visits in this time stand here as soon as somebody comes in. A longer time may show earlier ones.</p><//>`;
  }
  return html`<dl class="figures">
      <div class="figure"><dt>Visits</dt><dd>${figure(traffic.visits)}</dd></div>
      <div class="figure"><dt>Visitors</dt><dd>${figure(traffic.visitors)}</dd></div>
      <div class="figure"><dt>Came another day</dt><dd>${share(traffic.returning_share)}</dd></div>
      <div class="figure"><dt>Usual stay</dt><dd>${duration(median)}</dd></div>
    </dl>
    <section class="panel"><header><h2>At which hours</h2></header><${Hours} hours=${traffic.hours} /></section>
    <section class="panel">
      <header><h2>By day</h2></header>
      ${days.length < DAYS_OF_A_LINE
        ? html`<${Bars} label="Visits by day" items=${days.map(({ key, visits }) => ({ words: day(key), value: visits }))} />`
        : html`<${Lines} label="Visits by day" days=${days.map(({ key }) => key)} series=${[{ name: "Visits", values: days.map(({ visits }) => visits) }]} />`}
    </section>
    <div class="two">
      <section class="panel"><header><h2>How long they stayed</h2></header><${Bars} label="Stays" items=${dwell.bins.map(({ key, visits }) => ({ words: stay(key), value: visits }))} /></section>
      <section class="panel"><header><h2>On which days</h2></header><${Bars} label="Weekdays" items=${traffic.weekdays.map(({ key, visits }) => ({ words: WEEKDAYS[key], value: visits }))} /></section>
    </div>
    ${traffic.hidden && html`<p class="notice"><${Icon} name="info" />Counts of too few people are not shown, nor those from which they could be found out: they stand as –, and have no bar.</p>`}`;
}
