// One endpoint of the list: what it is told, how it is, and what one can do with it.

import { html, useState } from "../vendor/preact.js";
import { piece, post, put } from "../api.js";
import { ago, duration } from "../format.js";
import { to, go } from "../router.js";
import { Button, Name } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { Health, HealthNotice } from "./endpoint-health.js";

const POSITIONS = { cell: "the cell where the device was", rounded: "a rounded position", exact: "the exact position" };

export function EndpointRow({ endpoint, writes, onRotate, onDelete, onPause, onVerify, again }) {
  const [busy, setBusy] = useState(false);
  const test = async () => {
    setBusy(true);
    try {
      const { id } = await post(`/v1/endpoints/${piece(endpoint.id)}:test`);
      say("A test event is on its way.");
      go("deliveries", "of", id);
    } catch (error) {
      complain(error);
      again(); // it may have been turned off in the meantime
    } finally {
      setBusy(false);
    }
  };
  const enable = async () => {
    setBusy(true);
    try {
      await put(`/v1/endpoints/${piece(endpoint.id)}`, { ...asDocument(endpoint), enabled: true });
      say(`${endpoint.id} is on again; what waits goes out.`);
      again();
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  return html`<article class="item">
    <div class="what">
      <h3>
        ${writes ? html`<a href=${to("deliveries", "endpoints", endpoint.id)}><${Name}>${endpoint.id}<//></a>` : html`<${Name}>${endpoint.id}<//>`}
        <${Health} endpoint=${endpoint} />
      </h3>
      <p class="faint long">${endpoint.url}</p>
      ${endpoint.description && html`<p><${Name}>${endpoint.description}<//></p>`}
      <${HealthNotice} endpoint=${endpoint} />
      <p class="faint">${facts(endpoint).join(" · ")}</p>
    </div>
    <div class="row">
      <a class="button small" href=${to("deliveries", { endpoint: endpoint.id })}>Deliveries</a>
      <${Button} kind="small" icon="shield" onClick=${onVerify}>How to verify<//>
      ${writes &&
      html`${endpoint.state === "enabled"
          ? html`<${Button} kind="small" icon="zap" busy=${busy} onClick=${test}>Test<//>
              <${Button} kind="small" icon="pause" onClick=${onPause}>Turn off<//>`
          : html`<${Button} kind="small" icon="play" busy=${busy} onClick=${enable}>Turn on<//>`}
        <${Button} kind="small" icon="key-round" onClick=${onRotate}>Rotate<//>
        <${Button} kind="small danger quiet" icon="trash-2" label=${`Delete ${endpoint.id}`} onClick=${onDelete} />`}
    </div>
  </article>`;
}

/** What is set for it, as far as it differs from what is usual. */
function facts(endpoint) {
  const { headers, retry_delays_s: delays, rate_per_s: rate, concurrency, previous_secret: previous } = endpoint;
  const key = endpoint.scheme === "ed25519" ? "signs with Ed25519, key" : "secret";
  return [
    endpoint.events ? endpoint.events.join(", ") : "Offers of the campaigns that name it",
    `${key} …${endpoint.secret_hint}${previous ? ` and, until ${ago(previous.until)}, …${previous.hint}` : ""}`,
    headers.length && `sends ${headers.join(", ")}`,
    delays && `tries again after ${delays.map(duration).join(", ") || "nothing: one attempt"}`,
    endpoint.ordered && "in order",
    POSITIONS[endpoint.position] && `tells ${POSITIONS[endpoint.position]}`,
    rate != null && `at most ${rate} a second`,
    concurrency != null && `at most ${concurrency} at one time`,
  ].filter(Boolean);
}

/** What an endpoint's answer says, as a document that keeps everything; headers are kept by null. */
export function asDocument({ url, events, description, rate_per_s, concurrency, retry_delays_s, ordered, position }) {
  return { url, events, description, rate_per_s, concurrency, retry_delays_s, ordered, position, headers: null };
}
