// How a receiver checks that a post is ours: lines to copy, in the language of whoever builds it.
// They are those of docs/webhooks.md, which are tested there.

import { html, useState } from "../vendor/preact.js";
import { Button, Copy, Dialog, Name } from "../parts/parts.js";

const SHARED = [
  ["Python", `# pip install standardwebhooks
import os
from standardwebhooks import Webhook

webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_…
event = webhook.verify(body, headers)  # raises when it is not ours, or too old`],
  ["JavaScript", `// npm install standardwebhooks
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET); // whsec_…
const event = webhook.verify(body, request.headers); // throws when it is not ours, or too old`],
  ["Go", `// go get github.com/standard-webhooks/standard-webhooks/libraries
webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET")) // whsec_…
if err != nil {
	log.Fatal(err)
}
if webhook.Verify(body, request.Header) != nil {
	response.WriteHeader(http.StatusUnauthorized)
}`],
  ["PHP", `// composer require standard-webhooks/standard-webhooks
$webhook = new \\StandardWebhooks\\Webhook(getenv("WEBHOOK_SECRET")); // whsec_…
$headers = array_change_key_case(getallheaders());
$event = $webhook->verify(file_get_contents("php://input"), $headers); // throws`],
];

const ofPair = (key) => [
  ["Python", `# pip install cryptography
import base64, time
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PUBLIC_KEY = "${key}"

def verify(headers, body):
    """Tell whether a post is ours and not older than five minutes; names are in lower case."""
    id, sent = headers["webhook-id"], headers["webhook-timestamp"]
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(PUBLIC_KEY.removeprefix("whpk_")))
    for each in headers["webhook-signature"].split():
        version, _, signature = each.partition(",")
        try:
            if version == "v1a":
                key.verify(base64.b64decode(signature), f"{id}.{sent}.".encode() + body)
                return abs(time.time() - int(sent)) < 300
        except InvalidSignature:
            continue  # that of the other key, while one takes the place of the other
    return False`],
];

export function Verify({ endpoint, onClose }) {
  const pair = endpoint.scheme === "ed25519";
  const ways = pair ? ofPair(endpoint.public_key) : SHARED;
  const [chosen, setChosen] = useState(ways[0][0]);
  const [, code] = ways.find(([language]) => language === chosen) || ways[0];
  return html`<${Dialog} wide title="How to verify" onClose=${onClose} foot=${html`<${Button} kind="main" onClick=${onClose}>Done<//>`}>
    <p>
      Every post to <strong><${Name}>${endpoint.id}<//></strong> is signed as Standard Webhooks 1.0
      (${pair ? "v1a, Ed25519" : "v1, HMAC-SHA-256"}). Verify over the bytes as they came, before parsing; answer 2xx
      within 15 seconds, and work afterwards.
    </p>
    <dl class="pairs">
      <dt><code>webhook-id</code></dt><dd>The event's id, the same at every attempt and replay: keep it, and do nothing when you know it.</dd>
      <dt><code>webhook-timestamp</code></dt><dd>Unix seconds of this attempt: refuse what is older than five minutes.</dd>
      <dt><code>webhook-signature</code></dt><dd>Over <code>id.timestamp.body</code>; two of them, with a space between, while a secret changes.</dd>
    </dl>
    ${pair
      ? html`<div class="row"><code class="secret">${endpoint.public_key}</code><${Copy} text=${endpoint.public_key} label="Copy the key" /></div>`
      : html`<p class="faint">The secret ends in …${endpoint.secret_hint} and is not shown again; rotate it if nobody has it.</p>`}
    <div class="row spread">
      <div class="group" role="group" aria-label="Language">
        ${ways.map(([language]) => html`<button type="button" class="button small" key=${language} aria-pressed=${language === chosen} onClick=${() => setChosen(language)}>${language}</button>`)}
      </div>
      <${Copy} text=${code} />
    </div>
    <pre class="document" tabindex="0" aria-label=${`Lines in ${chosen}`}>${code}</pre>
  <//>`;
}
