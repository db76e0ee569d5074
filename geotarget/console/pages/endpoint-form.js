// One endpoint: where to, what it wants to hear, how fast, and what else goes with it.

import { html, useState } from "../vendor/preact.js";
import { piece, put } from "../api.js";
import { Area, Button, Check, Dialog, Select, Text, Trouble } from "../parts/parts.js";
import { SCHEMES } from "./endpoint-dialogs.js";
import { read, typed } from "./endpoint-document.js";

const EVENTS = [
  ["transition.enter", "Entered a zone"],
  ["transition.dwell", "Stayed in a zone"],
  ["transition.exit", "Left a zone"],
  ["transition.crossed", "Passed through a zone"],
  ["endpoint.disabled", "Another endpoint was given up"],
];
const POSITIONS = [
  ["none", "Not at all"],
  ["cell", "As a cell, 350 m across"],
  ["rounded", "Rounded to some 100 m"],
  ["exact", "Exactly, if the operator allows it"],
];
const RETRIES = [
  ["usual", "Ten attempts in some three days"],
  ["own", "After pauses of its own"],
];

export function EndpointForm({ endpoint, known, onClose, onSaved }) {
  const [form, setForm] = useState(() => typed(endpoint));
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (name) => (value) => setForm({ ...form, [name]: value });
  const toggle = (event) => (on) => {
    const events = new Set(form.events);
    if (on) events.add(event);
    else events.delete(event);
    setForm({ ...form, events });
  };
  const save = async () => {
    const { document, wrong: found } = read(form, endpoint, known);
    setWrong(found);
    if (Object.keys(found).length) return;
    setBusy(true);
    setError(null);
    try {
      onSaved(await put(`/v1/endpoints/${piece(form.id.trim())}`, document));
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  const hidden = ["rate", "concurrency", "delays", "headers"].some((name) => wrong[name]);
  const sends = [
    ...(endpoint?.headers.length ? [["keep", `Those that are stored: ${endpoint.headers.join(", ")}`]] : []),
    ["none", "None"],
    ["new", endpoint?.headers.length ? "Others instead" : "These"],
  ];
  return html`<${Dialog}
    title=${endpoint ? `Endpoint ${endpoint.id}` : "New endpoint"}
    onClose=${onClose}
    onSubmit=${save}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="save" busy=${busy}>Save<//>`}
  >
    ${!endpoint && html`<${Text} label="Id" hint="Campaigns name it by this, such as crm." wrong=${wrong.id} value=${form.id} onValue=${set("id")} autofocus />`}
    <${Text} label="Address" type="url" placeholder="https://crm.example.com/geotarget" wrong=${wrong.url} value=${form.url} onValue=${set("url")} />
    <${Text} label="Description" value=${form.description} onValue=${set("description")} />
    <fieldset class="stack">
      <legend>What it hears</legend>
      <${Check} label="Offers" hint="Of the campaigns that name it." value=${form.offers} onValue=${set("offers")} />
      ${EVENTS.map(([event, words]) => html`<${Check} key=${event} label=${words} value=${form.events.has(event)} onValue=${toggle(event)} />`)}
      ${wrong.events && html`<p class="wrong" role="alert">${wrong.events}</p>`}
    </fieldset>
    ${!endpoint && html`<${Select} label="How it is signed" options=${SCHEMES} value=${form.scheme} onValue=${set("scheme")} />`}
    <details open=${hidden || undefined}>
      <summary>Retries, order, place, headers and pace</summary>
      <div class="stack more-fields">
        <${Select} label="When an attempt fails, try again" options=${RETRIES} value=${form.retries} onValue=${set("retries")} />
        ${form.retries === "own" &&
        html`<${Text} label="Pauses" hint="Before each further attempt, ±20 %: s, min, h or d. Empty: one attempt and no more." wrong=${wrong.delays} value=${form.delays} onValue=${set("delays")} />`}
        <${Check} label="In order" hint="The events of one device come one after the other; one that fails holds up the next." value=${form.ordered} onValue=${set("ordered")} />
        <${Select} label="Tell where the device was" options=${POSITIONS} value=${form.position} onValue=${set("position")} />
        <${Select} label="Headers that go with every post" hint="For a gateway that wants a token. Values are encrypted, and never shown again." options=${sends} value=${form.sends} onValue=${set("sends")} />
        ${form.sends === "new" &&
        html`<${Area} label="Headers" code hint="One a line, such as Authorization: Bearer abc." wrong=${wrong.headers} autocomplete="off" spellcheck=${false} value=${form.headers} onValue=${set("headers")} />`}
        <div class="fields">
          <${Text} label="Most a second" hint="Empty: no bound." inputmode="decimal" wrong=${wrong.rate} value=${form.rate} onValue=${set("rate")} />
          <${Text} label="Most at one time" hint="Empty: as the operator says." inputmode="numeric" wrong=${wrong.concurrency} value=${form.concurrency} onValue=${set("concurrency")} />
        </div>
      </div>
    </details>
    <${Trouble} error=${error} />
  <//>`;
}
