// Where webhooks go: health at a glance, tests, secrets and their rotation.

import { html, useState } from "../vendor/preact.js";
import { all, piece, post, put, remove } from "../api.js";
import { ago } from "../format.js";
import { place, to, go } from "../router.js";
import { may } from "../session.js";
import { Button, Copy, Dialog, Empty, Icon, Name, Select, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { EndpointForm } from "./endpoint-form.js";

export function Endpoints() {
  const [, id] = place.value.rest;
  const answer = useAnswer(() => all("/v1/endpoints"));
  const [secret, setSecret] = useState(null);
  const [rotating, setRotating] = useState(null);
  const [deleting, setDeleting] = useState(null);
  const writes = may("endpoints:write");
  const open = id === "new" ? null : answer.value?.find((each) => each.id === id);
  const close = () => go("deliveries", "endpoints");
  return html`<section class="panel flush">
    <header>
      <p>An endpoint gets the offers of the campaigns that name it, and any events that it asks for.</p>
      ${writes && html`<a class="button main" href=${to("deliveries", "endpoints", "new")}><${Icon} name="plus" />New endpoint</a>`}
    </header>
    <${Trouble} error=${answer.error} again=${answer.again} />
    ${!answer.value && answer.waiting && html`<${Waiting} what="Loading endpoints" />`}
    ${answer.value?.length === 0 &&
    html`<${Empty} icon="webhook" title="No endpoints yet"><p>Add the address of the system that should hear about offers: a CRM, a push service, your own backend.</p><//>`}
    ${answer.value?.map(
      (each) =>
        html`<${Row}
          key=${each.id}
          endpoint=${each}
          writes=${writes}
          onRotate=${() => setRotating(each)}
          onDelete=${() => setDeleting(each)}
          again=${answer.again}
        />`,
    )}
    ${(id === "new" || open) &&
    html`<${EndpointForm}
      endpoint=${open}
      onClose=${close}
      onSaved=${(stored) => {
        answer.again();
        close();
        say(`${stored.id} was saved.`);
        if (stored.secret) setSecret(stored);
      }}
    />`}
    ${rotating &&
    html`<${Rotate}
      endpoint=${rotating}
      onClose=${() => setRotating(null)}
      onDone=${(stored) => {
        setRotating(null);
        setSecret(stored);
        answer.again();
      }}
    />`}
    ${deleting && html`<${Delete} endpoint=${deleting} onClose=${() => setDeleting(null)} onDone=${answer.again} />`}
    ${secret && html`<${Secret} endpoint=${secret} onClose=${() => setSecret(null)} />`}
  </section>`;
}

function Health({ endpoint }) {
  if (endpoint.state === "disabled") return html`<${Tag} kind="bad" icon="ban">Off<//>`;
  if (endpoint.failing_since) return html`<${Tag} kind="warn" icon="triangle-alert">Failing since ${ago(endpoint.failing_since)}<//>`;
  return html`<${Tag} kind="good" icon="circle-check">On<//>`;
}

function Row({ endpoint, writes, onRotate, onDelete, again }) {
  const [busy, setBusy] = useState(false);
  const test = async () => {
    setBusy(true);
    try {
      const { id } = await post(`/v1/endpoints/${piece(endpoint.id)}:test`);
      say("A test event is on its way.");
      go("deliveries", "of", id);
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  const enable = async () => {
    try {
      await put(`/v1/endpoints/${piece(endpoint.id)}`, { ...asDocument(endpoint), enabled: true });
      say(`${endpoint.id} is on again; what waits goes out.`);
      again();
    } catch (error) {
      complain(error);
    }
  };
  return html`<article class="item">
    <div class="what">
      <h3>
        <a href=${to("deliveries", "endpoints", endpoint.id)}><${Name}>${endpoint.id}<//></a>
        <${Health} endpoint=${endpoint} />
      </h3>
      <p class="faint long">${endpoint.url}</p>
      ${endpoint.description && html`<p><${Name}>${endpoint.description}<//></p>`}
      ${endpoint.disabled_reason && html`<p class="notice bad"><${Icon} name="info" />${endpoint.disabled_reason}</p>`}
      <p class="faint">
        ${endpoint.events ? endpoint.events.join(", ") : "Offers of the campaigns that name it"} · secret …${endpoint.secret_hint}
        ${endpoint.previous_secret && ` and, until ${ago(endpoint.previous_secret.until)}, …${endpoint.previous_secret.hint}`}
      </p>
    </div>
    <div class="row">
      <a class="button small" href=${to("deliveries", { endpoint: endpoint.id })}>Deliveries</a>
      ${writes &&
      html`${endpoint.state === "enabled"
          ? html`<${Button} kind="small" icon="zap" busy=${busy} onClick=${test}>Test<//>`
          : html`<${Button} kind="small" icon="play" onClick=${enable}>Turn on<//>`}
        <${Button} kind="small" icon="key-round" onClick=${onRotate}>Rotate<//>
        <${Button} kind="small danger quiet" icon="trash-2" label=${`Delete ${endpoint.id}`} onClick=${onDelete} />`}
    </div>
  </article>`;
}

/** What an endpoint's answer says, as a document that keeps everything. */
export function asDocument(endpoint) {
  const { url, events, description, rate_per_s, concurrency, retry_delays_s, ordered, position } = endpoint;
  const document = { url, events, description, rate_per_s, concurrency };
  if (retry_delays_s !== undefined) Object.assign(document, { retry_delays_s, ordered, position, headers: null });
  return document;
}

const OVERLAPS = [["86400", "A day"], ["604800", "A week"], ["3600", "An hour"], ["0", "Not at all: the old one has leaked"]];

function Rotate({ endpoint, onClose, onDone }) {
  const [overlap, setOverlap] = useState("86400");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const rotate = async () => {
    setBusy(true);
    setError(null);
    try {
      onDone(await post(`/v1/endpoints/${piece(endpoint.id)}:rotate`, { overlap_s: Number(overlap) }));
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    title="Rotate the secret"
    onClose=${onClose}
    onSubmit=${rotate}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="key-round" busy=${busy}>Rotate<//>`}
  >
    <p>A new secret is made and shown once. While both sign, the receiver can change over at any moment and no verification fails.</p>
    <${Select} label="How long the old secret goes on signing" options=${OVERLAPS} value=${overlap} onValue=${setOverlap} />
    ${overlap === "0" && html`<p class="notice warn"><${Icon} name="triangle-alert" />From now on the receiver refuses everything until it knows the new secret.</p>`}
    <${Trouble} error=${error} />
  <//>`;
}

function Secret({ endpoint, onClose }) {
  return html`<${Dialog} title="The secret" onClose=${onClose} foot=${html`<${Button} kind="main" onClick=${onClose}>I have kept it<//>`}>
    <p>Give it to the receiver of <strong><${Name}>${endpoint.id}<//></strong> now: it is not shown again.</p>
    <div class="row"><code class="secret">${endpoint.secret}</code><${Copy} text=${endpoint.secret} /></div>
    ${endpoint.previous_secret && html`<p class="faint">The old one signs as well until ${ago(endpoint.previous_secret.until)}.</p>`}
  <//>`;
}

function Delete({ endpoint, onClose, onDone }) {
  const [error, setError] = useState(null);
  const erase = async () => {
    try {
      await remove(`/v1/endpoints/${piece(endpoint.id)}`);
      say(`${endpoint.id} was deleted.`);
      onDone();
      onClose();
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<${Dialog}
    title=${`Delete ${endpoint.id}?`}
    onClose=${onClose}
    onSubmit=${erase}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="danger main" icon="trash-2">Delete<//>`}
  >
    <p>What still waits for it counts as failed. Its secret is gone: an endpoint of the same id gets a new one.</p>
    <${Trouble} error=${error} />
  <//>`;
}
