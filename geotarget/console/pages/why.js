// Why a device got an offer, or did not: everything that is known of it, in order, in words. Without
// a device: the latest answers of all campaigns, by campaign and gate.

import { html, useEffect, useState } from "../vendor/preact.js";
import { go, place } from "../router.js";
import { Button, Text } from "../parts/parts.js";
import { Answers } from "./why-answers.js";
import { Story } from "./why-story.js";

export function Why() {
  const [device = ""] = place.value.rest;
  const [typed, setTyped] = useState(device);
  useEffect(() => setTyped(device), [device]);
  const find = (event) => {
    event.preventDefault();
    if (typed.trim()) go("why", typed.trim());
    else go("why");
  };
  return html`<div class="column">
    <header class="page-head">
      <div><h1>Why?</h1><p>What happened to one device, and why an offer was sent or was not.</p></div>
      <form class="actions" role="search" onSubmit=${find}>
        <${Text} label="Device or person" type="search" placeholder="walker-017" value=${typed} onValue=${setTyped} />
        <${Button} type="submit" kind="main low" icon="search">Explain<//>
      </form>
    </header>
    ${device ? html`<${Story} device=${device} key=${device} />` : html`<${Answers} />`}
  </div>`;
}
