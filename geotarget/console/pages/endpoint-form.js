// One endpoint: where to, what it wants to hear, and how fast.

import { html, useState } from "../vendor/preact.js";
import { piece, put } from "../api.js";
import { Button, Check, Dialog, Select, Text, Trouble } from "../parts/parts.js";

const EVENTS = [
  ["transition.enter", "Entered a zone"],
  ["transition.dwell", "Stayed in a zone"],
  ["transition.exit", "Left a zone"],
  ["transition.crossed", "Passed through a zone"],
  ["endpoint.disabled", "Another endpoint was given up"],
];
const POSITIONS = [
  ["none", "Not at all"],
  ["cell", "As a cell of some 170 m"],
  ["rounded", "Rounded to some 100 m"],
  ["exact", "Exactly"],
];

export function EndpointForm({ endpoint, onClose, onSaved }) {
  const [form, setForm] = useState({
    id: endpoint?.id || "",
    url: endpoint?.url || "",
    description: endpoint?.description || "",
    offers: !endpoint?.events || endpoint.events.includes("offer.triggered"),
    events: new Set(endpoint?.events || []),
    rate: endpoint?.rate_per_s == null ? "" : String(endpoint.rate_per_s),
    concurrency: endpoint?.concurrency == null ? "" : String(endpoint.concurrency),
    ordered: Boolean(endpoint?.ordered),
    position: endpoint?.position || "none",
  });
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
    const found = {};
    if (!form.id.trim()) found.id = "The endpoint needs an id.";
    if (!/^https?:\/\//.test(form.url.trim())) found.url = "An address begins with https://";
    for (const name of ["rate", "concurrency"]) {
      if (form[name].trim() && !(Number(form[name]) > 0)) found[name] = "This must be more than 0.";
    }
    const others = [...form.events].filter((each) => each !== "offer.triggered");
    if (!form.offers && !others.length) found.events = "Choose at least one.";
    setWrong(found);
    if (Object.keys(found).length) return;
    setBusy(true);
    setError(null);
    const document = {
      url: form.url.trim(),
      description: form.description.trim(),
      events: others.length || !form.offers ? [...(form.offers ? ["offer.triggered"] : []), ...others] : null,
      rate_per_s: form.rate.trim() ? Number(form.rate) : null,
      concurrency: form.concurrency.trim() ? Number(form.concurrency) : null,
      enabled: endpoint ? endpoint.state === "enabled" : true,
      ...(endpoint?.state === "disabled" && { disabled_reason: endpoint.disabled_reason }),
      ...(form.ordered && { ordered: true }),
      ...(form.position !== "none" && { position: form.position }),
      ...(endpoint?.retry_delays_s && { retry_delays_s: endpoint.retry_delays_s }),
    };
    try {
      onSaved(await put(`/v1/endpoints/${piece(form.id.trim())}`, document));
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
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
    <details>
      <summary>Pace, order and place</summary>
      <div class="stack">
        <div class="fields">
          <${Text} label="Most a second" hint="Empty: no bound." inputmode="decimal" wrong=${wrong.rate} value=${form.rate} onValue=${set("rate")} />
          <${Text} label="Most at one time" hint="Empty: as the operator says." inputmode="numeric" wrong=${wrong.concurrency} value=${form.concurrency} onValue=${set("concurrency")} />
        </div>
        <${Check} label="In order" hint="The events of one device come one after the other; one that fails holds up the next." value=${form.ordered} onValue=${set("ordered")} />
        <${Select} label="Tell where the device was" options=${POSITIONS} value=${form.position} onValue=${set("position")} />
      </div>
    </details>
    <${Trouble} error=${error} />
  <//>`;
}
