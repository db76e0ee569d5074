// One event: what is posted, how its endpoints are, and every attempt with what the receiver said.

import { html } from "../vendor/preact.js";
import { all, get, piece, post } from "../api.js";
import { ago, full, many } from "../format.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { Button, Copy, Empty, Icon, Name, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { Health, HealthNotice } from "./endpoint-health.js";
import { State } from "./delivery-list.js";

const TYPES = { test: "Test event", "endpoint.disabled": "An endpoint was given up" };

export function DeliveryDetail({ id }) {
  const { value, error, waiting, again } = useAnswer((signal) => get(`/v1/deliveries/${piece(id)}`, {}, { signal }), [id]);
  const endpoints = useAnswer(() => (may("endpoints:read") ? all("/v1/endpoints") : Promise.resolve([])));
  const refresh = () => {
    again();
    endpoints.again();
  };
  const resend = async (endpoint) => {
    try {
      const { requeued } = await post(`/v1/deliveries/${piece(id)}:replay?endpoint=${encodeURIComponent(endpoint)}`);
      say(`${many(requeued, "delivery is", "deliveries are")} sent again.`);
      refresh();
    } catch (refused) {
      complain(refused);
    }
  };
  const first = value?.items[0];
  return html`<div class="column">
    <p><a class="back" href=${to("deliveries")}><${Icon} name="chevron-left" small /> Deliveries</a></p>
    <header class="page-head">
      <div>
        <h1><${Name}>${first?.campaign || TYPES[first?.type] || first?.type || "Event"}<//></h1>
        <p><code class="long">${id}</code></p>
      </div>
      <div class="actions">
        ${first?.device && html`<a class="button" href=${whyOf(first)}><${Icon} name="circle-help" />Why?</a>`}
        <${Button} icon="refresh-cw" onClick=${refresh} busy=${waiting}>Refresh<//>
      </div>
    </header>
    ${error?.status === 404
      ? html`<${Empty} icon="send" title="There is no such event"><p>It may have been kept long enough and dropped, or erased with its person.</p><//>`
      : html`<${Trouble} error=${error} again=${refresh} />`}
    ${!value && waiting && html`<${Waiting} />`}
    ${value?.items.map(
      (item) => html`<${To} key=${item.endpoint} item=${item} endpoint=${endpoints.value?.find((each) => each.id === item.endpoint)} resend=${resend} />`,
    )}
    ${value && html`<${Body} item=${first} />`}
  </div>`;
}

/** The story of its device until a moment after it was made. */
const whyOf = ({ device, created }) => to("why", device, { to: new Date(Date.parse(created) + 60_000).toISOString() });

function To({ item, endpoint, resend }) {
  return html`<section class="panel flush">
    <header>
      <h2>To <${Name}>${item.endpoint}<//></h2>
      <${State} state=${item.state} />
      ${item.next_attempt && html`<span class="faint">next ${ago(item.next_attempt)}</span>`}
      <div class="row">
        ${endpoint && html`<span class="row"><span class="faint">Endpoint</span><${Health} endpoint=${endpoint} /></span>`}
        ${may("deliveries:write") && html`<${Button} kind="small" icon="rotate-cw" onClick=${() => resend(item.endpoint)}>Send again<//>`}
      </div>
    </header>
    ${endpoint && (endpoint.state === "disabled" || endpoint.failing_since) && html`<div class="inner"><${HealthNotice} endpoint=${endpoint} /></div>`}
    ${item.history.length === 0
      ? html`<p class="inner faint">Not tried yet.</p>`
      : html`<div class="scroll"><table>
          <caption class="unseen">Attempts to ${item.endpoint}</caption>
          <thead><tr><th scope="col">Attempt</th><th scope="col">When</th><th scope="col">Answer</th><th scope="col" class="right">Took</th></tr></thead>
          <tbody>
            ${item.history.map(
              (each) => html`<tr key=${each.started}>
                <th scope="row">${each.attempt}</th>
                <td><time datetime=${each.started}>${full(each.started)}</time></td>
                <td class="long">
                  ${each.status ? html`<strong>${each.status}</strong>` : html`<strong>No answer</strong>`}
                  ${each.error && html` <span>${each.error}</span>`}
                  ${each.answer && html`<details><summary>What it said</summary><pre dir="auto">${each.answer}</pre></details>`}
                </td>
                <td class="right">${each.duration_ms} ms</td>
              </tr>`,
            )}
          </tbody>
        </table></div>`}
  </section>`;
}

function Body({ item }) {
  const text = JSON.stringify(item.body, null, 2);
  return html`<section class="panel">
    <header><h2>What is posted</h2><${Copy} text=${text} /></header>
    <dl class="pairs">
      <dt><code>webhook-id</code></dt>
      <dd><code class="long">${item.id}</code><small>The same at every attempt and every time it is sent again: a receiver that knows it does nothing twice.</small></dd>
      <dt><code>webhook-timestamp</code></dt>
      <dd>Unix seconds of the attempt</dd>
      <dt><code>webhook-signature</code></dt>
      <dd>Made anew for each attempt, with the endpoint's secret</dd>
    </dl>
    <pre class="document" tabindex="0" aria-label="Body">${text}</pre>
  </section>`;
}
