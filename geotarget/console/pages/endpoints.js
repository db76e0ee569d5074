// Where webhooks go: health at a glance, tests, pauses, secrets and their rotation.

import { html, useState } from "../vendor/preact.js";
import { all } from "../api.js";
import { place, to, go } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { say } from "../parts/toasts.js";
import { Delete, Pause, Rotate, Secret } from "./endpoint-dialogs.js";
import { EndpointForm } from "./endpoint-form.js";
import { EndpointRow } from "./endpoint-row.js";
import { Verify } from "./endpoint-verify.js";

export function Endpoints() {
  const [, id] = place.value.rest;
  const answer = useAnswer(() => all("/v1/endpoints"));
  const [secret, setSecret] = useState(null);
  const [asked, setAsked] = useState(null); // {what, endpoint}
  const writes = may("endpoints:write");
  const open = id === "new" ? null : answer.value?.find((each) => each.id === id);
  const close = () => go("deliveries", "endpoints");
  const ask = (what, endpoint) => () => setAsked({ what, endpoint });
  const done = () => setAsked(null);
  const about = (what) => asked?.what === what && asked.endpoint;
  return html`<section class="panel flush">
    <header>
      <p>An endpoint gets the offers of the campaigns that name it, and any events that it asks for.</p>
      <div class="row">
        <${Button} icon="refresh-cw" label="Refresh" busy=${answer.waiting} onClick=${answer.again} />
        ${writes && html`<a class="button main" href=${to("deliveries", "endpoints", "new")}><${Icon} name="plus" />New endpoint</a>`}
      </div>
    </header>
    <${Trouble} error=${answer.error} again=${answer.again} />
    ${!answer.value && answer.waiting && html`<${Waiting} what="Loading endpoints" />`}
    ${answer.value?.length === 0 &&
    html`<${Empty} icon="webhook" title="No endpoints yet"><p>Add the address of the system that should hear about offers: a CRM, a push service, your own backend.</p><//>`}
    ${answer.value?.map(
      (each) =>
        html`<${EndpointRow}
          key=${each.id}
          endpoint=${each}
          writes=${writes}
          onRotate=${ask("rotate", each)}
          onDelete=${ask("delete", each)}
          onPause=${ask("pause", each)}
          onVerify=${ask("verify", each)}
          again=${answer.again}
        />`,
    )}
    ${id && id !== "new" && answer.value && !open &&
    html`<p class="inner notice warn" role="alert"><${Icon} name="info" />There is no endpoint ${id}, or not any more.</p>`}
    ${(id === "new" || open) && writes &&
    html`<${EndpointForm}
      key=${id}
      endpoint=${open}
      known=${(answer.value || []).map((each) => each.id)}
      onClose=${close}
      onSaved=${(stored) => {
        answer.again();
        close();
        say(`${stored.id} was saved.`);
        if (!open) setSecret(stored);
      }}
    />`}
    ${about("rotate") &&
    html`<${Rotate}
      endpoint=${asked.endpoint}
      onClose=${done}
      onDone=${(stored) => {
        done();
        setSecret(stored);
        answer.again();
      }}
    />`}
    ${about("delete") && html`<${Delete} endpoint=${asked.endpoint} onClose=${done} onDone=${answer.again} />`}
    ${about("pause") && html`<${Pause} endpoint=${asked.endpoint} onClose=${done} onDone=${answer.again} />`}
    ${about("verify") && html`<${Verify} endpoint=${asked.endpoint} onClose=${done} />`}
    ${secret && html`<${Secret} endpoint=${secret} onClose=${() => setSecret(null)} />`}
  </section>`;
}
