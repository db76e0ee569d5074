// What was sent and what waits, by state, endpoint and time; many can be sent again at once.

import { html, useState } from "../vendor/preact.js";
import { all, post } from "../api.js";
import { ago, count, full, many } from "../format.js";
import { place, to, go } from "../router.js";
import { may } from "../session.js";
import { ListTable, usePages } from "../parts/list.js";
import { Button, Check, Dialog, Empty, Name, Select, Tag, Text, Trouble, useAnswer } from "../parts/parts.js";
import { say } from "../parts/toasts.js";

export const STATES = {
  delivered: ["good", "circle-check", "Delivered"],
  pending: ["accent", "clock", "Waiting"],
  failed: ["bad", "circle-x", "Failed"],
  expired: ["warn", "calendar-clock", "Expired"],
};

export const State = ({ state }) => {
  const [kind, icon, words] = STATES[state];
  return html`<${Tag} kind=${kind} icon=${icon}>${words}<//>`;
};

const COLUMNS = [["Event"], ["To"], ["State"], ["Attempts", "right"], ["Made", "right"]];

export function DeliveryList() {
  const { query } = place.value;
  const chosen = Object.fromEntries(["state", "endpoint", "campaign", "device"].map((name) => [name, query.get(name) || ""]));
  const [replaying, setReplaying] = useState(false);
  const pages = usePages("/v1/deliveries", chosen);
  const endpoints = useAnswer(() => (may("endpoints:read") ? all("/v1/endpoints") : Promise.resolve([])));
  const choose = (name) => (value) => go("deliveries", { ...chosen, [name]: value });
  return html`<section class="panel flush">
    <header class="filters">
      <${Select} label="State" value=${chosen.state} onValue=${choose("state")} options=${[["", "All"], ...Object.entries(STATES).map(([name, [, , words]]) => [name, words])]} />
      <${Select} label="Endpoint" value=${chosen.endpoint} onValue=${choose("endpoint")} options=${[["", "All"], ...(endpoints.value || []).map(({ id }) => [id, id])]} />
      <${Text} label="Device" type="search" value=${chosen.device} onValue=${() => {}} onChange=${(event) => choose("device")(event.target.value.trim())} />
      <div class="row push">
        <${Button} icon="refresh-cw" onClick=${pages.again}>Refresh<//>
        ${may("deliveries:write") && html`<${Button} icon="rotate-cw" onClick=${() => setReplaying(true)}>Send again …<//>`}
      </div>
    </header>
    <${ListTable}
      pages=${pages}
      caption="Deliveries"
      columns=${COLUMNS}
      row=${(item) => html`<${Row} key=${`${item.id} ${item.endpoint}`} item=${item} />`}
      empty=${html`<${Empty} icon="send" title=${Object.values(chosen).some(Boolean) ? "Nothing matches" : "Nothing was sent yet"}>
        <p>
          ${Object.values(chosen).some(Boolean)
            ? "No delivery matches what is chosen above."
            : "Deliveries appear here when a campaign fires, or an endpoint asks for transitions."}
        </p>
      <//>`}
    />
    ${replaying && html`<${Replay} chosen=${chosen} onClose=${() => setReplaying(false)} onDone=${pages.again} />`}
  </section>`;
}

function Row({ item }) {
  return html`<tr class="opens">
    <th scope="row">
      <a href=${to("deliveries", "of", item.id)}>${item.campaign ? html`<${Name}>${item.campaign}<//>` : item.type}</a>
      <small>${item.device && html`<a href=${to("why", item.device)}><${Name}>${item.device}<//></a>`}${item.zone && html` in <${Name}>${item.zone}<//>`}</small>
    </th>
    <td><${Name}>${item.endpoint}<//></td>
    <td><${State} state=${item.state} />${item.status && html` <span class="faint">${item.status}</span>`}</td>
    <td class="right">${count(item.attempts)}</td>
    <td class="right"><time datetime=${item.created} title=${full(item.created)}>${ago(item.created)}</time></td>
  </tr>`;
}

const SPANS = [["3600", "the last hour"], ["86400", "the last 24 hours"], ["604800", "the last 7 days"], ["2592000", "the last 30 days"], ["", "between two times"]];

/** An instant as such a field takes it: local, to the minute. */
const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** Send many again: what, since when, where to. */
function Replay({ chosen, onClose, onDone }) {
  const [span, setSpan] = useState("86400");
  const [states, setStates] = useState(new Set([chosen.state || "failed"]));
  const [since, setSince] = useState(() => local(Date.now() - 7_200_000));
  const [until, setUntil] = useState(() => local(Date.now() + 60_000));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const wrong = !span && !(Date.parse(since) < Date.parse(until)) ? "The end must come after the beginning." : "";
  const toggle = (state) => (on) => {
    const next = new Set(states);
    if (on) next.add(state);
    else next.delete(state);
    setStates(next);
  };
  const send = async () => {
    setBusy(true);
    setError(null);
    const range = span
      ? { from: new Date(Date.now() - Number(span) * 1000).toISOString() }
      : { from: new Date(since).toISOString(), to: new Date(until).toISOString() };
    const wanted = {
      ...range,
      state: [...states],
      ...(chosen.endpoint && { endpoint: chosen.endpoint }),
      ...(chosen.campaign && { campaign: chosen.campaign }),
    };
    try {
      let sent = 0;
      let cursor = null;
      do {
        const { requeued, next } = await post("/v1/deliveries:replay", { ...wanted, cursor });
        sent += requeued;
        cursor = next;
      } while (cursor);
      say(sent ? `${many(sent, "delivery is", "deliveries are")} sent again.` : "There was none to send again.");
      onDone();
      onClose();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  return html`<${Dialog}
    title="Send again"
    onClose=${onClose}
    onSubmit=${send}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="rotate-cw" busy=${busy} disabled=${!states.size || Boolean(wrong)}>Send again<//>`}
  >
    <p>The same events under the same ids: a receiver that knows an event recognises it.${chosen.endpoint && html` Only to <strong><${Name}>${chosen.endpoint}<//></strong>.`}</p>
    <${Select} label="Made in" options=${SPANS} value=${span} onValue=${setSpan} />
    ${!span &&
    html`<div class="fields">
      <${Text} label="From" type="datetime-local" value=${since} onValue=${setSince} />
      <${Text} label="To" type="datetime-local" wrong=${wrong} value=${until} onValue=${setUntil} />
    </div>`}
    <fieldset class="stack">
      <legend>Which</legend>
      <${Check} label="Failed" hint="Every attempt was used up." value=${states.has("failed")} onValue=${toggle("failed")} />
      <${Check} label="Waiting" hint="Tried at once instead of later." value=${states.has("pending")} onValue=${toggle("pending")} />
      <${Check} label="Delivered" hint="The receiver lost them." value=${states.has("delivered")} onValue=${toggle("delivered")} />
      <${Check} label="Expired" hint="Offers that are out of date: they are sent all the same." value=${states.has("expired")} onValue=${toggle("expired")} />
    </fieldset>
    <${Trouble} error=${error} />
  <//>`;
}
