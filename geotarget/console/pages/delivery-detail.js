// One event: what is posted, and every attempt with what the receiver said.

import { html } from "../vendor/preact.js";
import { get, piece, post } from "../api.js";
import { ago, full, many } from "../format.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { Button, Copy, Empty, Icon, Name, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { State } from "./delivery-list.js";

export function DeliveryDetail({ id }) {
  const { value, error, waiting, again } = useAnswer((signal) => get(`/v1/deliveries/${piece(id)}`, {}, { signal }), [id]);
  const resend = async (endpoint) => {
    try {
      const { requeued } = await post(`/v1/deliveries/${piece(id)}:replay?endpoint=${encodeURIComponent(endpoint)}`);
      say(`${many(requeued, "delivery is", "deliveries are")} sent again.`);
      again();
    } catch (refused) {
      complain(refused);
    }
  };
  return html`<div class="column">
    <p><a class="back" href=${to("deliveries")}><${Icon} name="chevron-left" small /> Deliveries</a></p>
    <header class="page-head">
      <div>
        <h1><${Name}>${value?.items[0]?.campaign || value?.items[0]?.type || "Event"}<//></h1>
        <p><code class="long">${id}</code></p>
      </div>
      <div class="actions"><${Button} icon="refresh-cw" onClick=${again} busy=${waiting}>Refresh<//></div>
    </header>
    ${error?.status === 404
      ? html`<${Empty} icon="send" title="There is no such event"><p>It may have been kept long enough and dropped, or erased with its person.</p><//>`
      : html`<${Trouble} error=${error} again=${again} />`}
    ${!value && waiting && html`<${Waiting} />`}
    ${value?.items.map((item) => html`<${To} key=${item.endpoint} item=${item} resend=${resend} />`)}
    ${value && html`<${Body} item=${value.items[0]} />`}
  </div>`;
}

function To({ item, resend }) {
  return html`<section class="panel flush">
    <header>
      <h2>To <${Name}>${item.endpoint}<//></h2>
      <${State} state=${item.state} />
      ${item.next_attempt && html`<span class="faint">next ${ago(item.next_attempt)}</span>`}
      ${may("deliveries:write") && html`<${Button} kind="small" icon="rotate-cw" onClick=${() => resend(item.endpoint)}>Send again<//>`}
    </header>
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
                  ${each.answer && html`<details><summary>What it said</summary><pre>${each.answer}</pre></details>`}
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
    <pre class="document" tabindex="0">${text}</pre>
  </section>`;
}
