// What the operator has set where geotarget is started: how long what is kept, and what holds for
// everybody. To be read here, not changed: the variable that sets it stands beside each.

import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { count, duration, many } from "../format.js";
import { to } from "../router.js";
import { Copy, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";

const PREFIX = "GEOTARGET_";
const PERIODS = { 3600: "an hour", 86400: "a day", 604800: "a week" };
const days = (value) => (value ? many(value, "day") : "For good");
const caps = (value) =>
  value
    ? value.split(",").map((each) => each.split("/").map(Number)).map(([most, seconds]) => `${count(most)} ${PERIODS[seconds] || `in ${duration(seconds)}`}`).join(", ")
    : "No bound";
const yes = (on, off) => (value) => (value ? on : off);

/** By variable: what it is called here, and its value in words. */
const WORDS = {
  RETENTION_HISTORY_DAYS: ["Movements and decisions", days],
  RETENTION_DELIVERIES_DAYS: ["Deliveries that have ended", days],
  RETENTION_CONVERSIONS_DAYS: ["Conversions", days],
  RETENTION_BEHAVIOUR_DAYS: ["What a profile did", days],
  RETENTION_TOMBSTONES_DAYS: ["Marks of erased people", days],
  REACH_DAYS: ["How many devices were where", (value) => (value ? many(value, "day") : "Not noted")],
  DEAD_LETTERS: ["Refused pings", (value) => `The newest ${count(value)}`],
  RULES_FORGET_S: ["A visit without a ping", duration],
  OFFER_CAPS: ["Most offers to one person", caps],
  QUIET_HOURS: ["Quiet hours", (value) => value.replace("-", " to ") || "None"],
  OFFERS_PER_TRANSITION: ["Campaigns that may answer one entry", count],
  OFFER_MAX_AGE_S: ["An entry is too old for an offer after", duration],
  MINIMUM_AUDIENCE: ["Fewest people that a report counts", count],
  PHONE_REGION: ["Country of phone numbers", (value) => value || "Must be written"],
  WEBHOOK_POSITIONS: ["Most that a webhook tells of a position", (value) => POSITIONS[value] || value],
  WEBHOOK_ALLOW_CIDRS: ["Private networks that webhooks reach", (value) => value.replaceAll(",", ", ") || "None"],
  WEBHOOK_DISABLE_AFTER_S: ["An endpoint is switched off after failing for", duration],
  WEBHOOK_ENDPOINT_CONCURRENCY: ["Posts at one time to one endpoint", count],
  WEBHOOK_CONCURRENCY: ["Posts at one time to all", count],
  TLS_CERTIFICATE: ["TLS", yes("On", "Off")],
  MQTT: ["Broker", yes("Your own", "Built in")],
  MQTT_DEVICE_ACCESS: ["Who may send pings to the built-in broker", (value) => ACCESS[value] || value],
  API_RATE_PER_S: ["Requests of one key", (value) => `${count(value)} a second`],
  API_WRONG_KEYS: ["Wrong keys from one address", (value) => `${count(value)} a minute`],
  OPEN_METRICS: ["Metrics without a key", yes("Yes", "No")],
};
const POSITIONS = { none: "Nothing", cell: "A cell, 350 m across", rounded: "Rounded to 100 m", exact: "The exact position" };
const ACCESS = { open: "Everybody who reaches it", password: "Who knows the password", device: "Each device with its own" };

const useSettings = () => useAnswer((signal) => get("/v1/settings", {}, { signal }));

export function Retention() {
  const { value, error, waiting, again } = useSettings();
  return html`<section class="panel flush">
      <header><h2>How long what is kept</h2></header>
      <${Trouble} error=${error} again=${again} />
      ${!value && waiting && html`<${Waiting} what="Loading settings" />`}
      ${value && html`<${Table} caption="How long what is kept" heading="Kept for" settings=${about(value, "retention")}>
        <${Fixed} what="Profiles, and who was meant by which campaign" kept="Until erased" how="Erase one with DELETE /v1/profiles/ID or geotarget profiles erase." />
        <${Fixed} what="Sums in reports, budgets, the audit log" kept="For good" how="They hold no row about a single person." />
      <//>`}
    </section>
    <${HowTo} example="GEOTARGET_RETENTION_HISTORY_DAYS=30">
      What is too old is dropped within the hour after the start, in small pieces while everything goes on.
      Keep movements and decisions at least as long as your longest attribution: a conversion finds its offer among them.
    <//>`;
}

export function HouseRules() {
  const { value, error, waiting, again } = useSettings();
  return html`<${Trouble} error=${error} again=${again} />
    ${!value && waiting && html`<section class="panel flush"><${Waiting} what="Loading settings" /></section>`}
    ${value &&
    html`${[
        ["offers", "Offers", "They come before what a campaign says. When one of them refused an offer, Why? names it."],
        ["webhooks", "Webhooks", "What endpoints are told, and how hard they are asked."],
        ["access", "Access", "Who comes in, and how."],
      ].map(
        ([name, title, words]) => html`<section class="panel flush" key=${name}>
          <header><div><h2>${title}</h2><p class="faint">${words}</p></div></header>
          <${Table} caption=${title} heading="Now" settings=${about(value, name)} />
        </section>`,
      )}
      <${HowTo} example="GEOTARGET_QUIET_HOURS=21:00-08:00">A profile's own quiet hours go before these.<//>
      <p class="faint">geotarget ${value.version}, database revision ${value.database_revision}</p>`}`;
}

const about = (value, name) => value.settings.filter((each) => each.about === name);

const Table = ({ caption, heading, settings, children }) => html`<div class="scroll"><table class="settings">
  <caption class="unseen">${caption}</caption>
  <thead><tr><th scope="col">What</th><th scope="col">${heading}</th><th scope="col">Set by</th></tr></thead>
  <tbody>
    ${settings.map((each) => {
      const name = each.variable.slice(PREFIX.length);
      const [title, words] = WORDS[name] || [name, String];
      return html`<tr key=${name}>
        <th scope="row">${title}<small><${Meaning} text=${each.meaning} /></small></th>
        <td><span class="row">${words(each.value)}${each.value !== each.default && html` <${Tag} kind="accent">Changed<//>`}</span></td>
        <td><code class="variable">${each.variable}</code></td>
      </tr>`;
    })}
    ${children}
  </tbody>
</table></div>`;

const Fixed = ({ what, kept, how }) =>
  html`<tr><th scope="row">${what}<small>${how}</small></th><td>${kept}</td><td class="faint">Fixed</td></tr>`;

/** What is between backticks is code. */
const Meaning = ({ text }) =>
  text.split("`").map((piece, position) => (position % 2 ? html`<code>${piece}</code>` : piece));

const HowTo = ({ example, children }) => html`<section class="panel prose">
  <h2>To change this</h2>
  <p>
    Only the operator can, where geotarget is started: set the variable in its environment and start it again, or write it
    into the service's file of variables. ${children}
  </p>
  <div class="row"><code class="secret">${example} geotarget up</code><${Copy} text=${`${example} geotarget up`} /></div>
  <p>
    The same rules for one campaign alone, such as its own caps or hours, are set in the${" "}
    <a href=${to("campaigns")}>campaign</a>. All variables: <code>geotarget settings</code>.
  </p>
</section>`;
