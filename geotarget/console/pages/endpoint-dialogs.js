// What asks before it is done to an endpoint: turning it off, rotating its secret, deleting it; and
// the secret itself, which is seen once.

import { html, useState } from "../vendor/preact.js";
import { piece, post, put, remove } from "../api.js";
import { ago } from "../format.js";
import { Button, Copy, Dialog, Icon, Name, Select, Text, Trouble } from "../parts/parts.js";
import { say } from "../parts/toasts.js";
import { asDocument } from "./endpoint-row.js";

const OVERLAPS = [["86400", "A day"], ["604800", "A week"], ["3600", "An hour"], ["0", "Not at all: the old one has leaked"]];
export const SCHEMES = [
  ["hmac", "A shared secret (HMAC): every library knows it"],
  ["ed25519", "A key pair (Ed25519): the receiver can check, and not forge"],
];

/** Something that is sent to the API, with what went wrong. */
function useDoing(does) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      await does();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return { busy, error, run };
}

export function Rotate({ endpoint, onClose, onDone }) {
  const [overlap, setOverlap] = useState("86400");
  const [scheme, setScheme] = useState(endpoint.scheme);
  const { busy, error, run } = useDoing(async () =>
    onDone(await post(`/v1/endpoints/${piece(endpoint.id)}:rotate`, { overlap_s: Number(overlap), scheme })),
  );
  return html`<${Dialog}
    title="Rotate the secret"
    onClose=${onClose}
    onSubmit=${run}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="key-round" busy=${busy}>Rotate<//>`}
  >
    <p>A new secret is made and shown once. While both sign, the receiver can change over at any moment and no verification fails.</p>
    <${Select} label="How long the old secret goes on signing" options=${OVERLAPS} value=${overlap} onValue=${setOverlap} />
    <${Select} label="How the new one signs" options=${SCHEMES} value=${scheme} onValue=${setScheme} />
    ${overlap === "0" && html`<p class="notice warn"><${Icon} name="triangle-alert" />From now on the receiver refuses everything until it knows the new secret.</p>`}
    <${Trouble} error=${error} />
  <//>`;
}

/** The secret, or the public key of a pair: what the receiver needs. */
export function Secret({ endpoint, onClose }) {
  const shared = endpoint.scheme === "hmac";
  const text = shared ? endpoint.secret : endpoint.public_key;
  return html`<${Dialog}
    title=${shared ? "The secret" : "The public key"}
    onClose=${onClose}
    foot=${html`<${Button} kind="main" onClick=${onClose}>${shared ? "I have kept it" : "Done"}<//>`}
  >
    <p>
      ${shared
        ? html`Give it to the receiver of <strong><${Name}>${endpoint.id}<//></strong> now: it is not shown again.`
        : html`The receiver of <strong><${Name}>${endpoint.id}<//></strong> checks signatures with it. It is nothing to keep secret, and you find it under “How to verify” at any time. The private key never leaves geotarget.`}
    </p>
    <div class="row"><code class="secret">${text}</code><${Copy} text=${text} /></div>
    ${endpoint.previous_secret && html`<p class="faint">The old one signs as well until ${ago(endpoint.previous_secret.until)}.</p>`}
  <//>`;
}

export function Pause({ endpoint, onClose, onDone }) {
  const [reason, setReason] = useState("");
  const { busy, error, run } = useDoing(async () => {
    const document = { ...asDocument(endpoint), enabled: false, disabled_reason: reason.trim() };
    await put(`/v1/endpoints/${piece(endpoint.id)}`, document);
    say(`${endpoint.id} is off.`);
    onDone();
    onClose();
  });
  return html`<${Dialog}
    title=${`Turn ${endpoint.id} off?`}
    onClose=${onClose}
    onSubmit=${run}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="pause" busy=${busy}>Turn off<//>`}
  >
    <p>Nothing is made for it until it is on again, and nobody hears of those offers later. What waits already stays, and goes out then.</p>
    <${Text} label="Why" hint="For your colleagues; may be empty." maxlength="200" value=${reason} onValue=${setReason} autofocus />
    <${Trouble} error=${error} />
  <//>`;
}

export function Delete({ endpoint, onClose, onDone }) {
  const { busy, error, run } = useDoing(async () => {
    await remove(`/v1/endpoints/${piece(endpoint.id)}`);
    say(`${endpoint.id} was deleted.`);
    onDone();
    onClose();
  });
  return html`<${Dialog}
    title=${`Delete ${endpoint.id}?`}
    onClose=${onClose}
    onSubmit=${run}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="danger main" icon="trash-2" busy=${busy}>Delete<//>`}
  >
    <p>What still waits for it counts as failed. Its secret is gone: an endpoint of the same id gets a new one.</p>
    <${Trouble} error=${error} />
  <//>`;
}
