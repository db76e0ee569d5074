// What people agreed to, purpose by purpose, and which campaigns act for each.

import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { count, many, share } from "../format.js";
import { to } from "../router.js";
import { Share } from "../parts/chart.js";
import { Empty, Icon, Name, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";

export function ConsentPurposes() {
  const { value, error, waiting, again } = useAnswer((signal) => get("/v1/profiles:purposes", {}, { signal }));
  return html`<section class="panel flush">
      <header>
        <div>
          <h2>What people agreed to</h2>
          ${value && html`<p class="faint">${value.exact ? `Of ${many(value.profiles, "profile")}.` : `Of the newest ${count(value.profiles)} profiles.`}</p>`}
        </div>
      </header>
      <${Trouble} error=${error} again=${again} />
      ${!value && waiting && html`<${Waiting} what="Loading purposes" />`}
      ${value?.purposes.length === 0 &&
      html`<${Empty} icon="users" title="No purposes yet">
        <p>A purpose appears here as soon as a profile answers it or a campaign asks for it.</p>
        <a class="button" href=${to("campaigns", "new")}><${Icon} name="plus" />New campaign</a>
      <//>`}
      ${value?.purposes.length > 0 && html`<${Purposes} ...${value} />`}
    </section>
    <${Explained} />`;
}

const Purposes = ({ profiles, purposes }) => html`<div class="scroll"><table>
  <caption class="unseen">Purposes of consent</caption>
  <thead><tr>
    <th scope="col">Purpose</th><th scope="col" class="right">Agreed</th><th scope="col" class="right">Declined</th>
    <th scope="col" class="right">Not asked</th><th scope="col">Share that agreed</th><th scope="col">Campaigns</th>
  </tr></thead>
  <tbody>
    ${purposes.map(
      (each) => html`<tr key=${each.purpose}>
        <th scope="row"><${Name}>${each.purpose}<//></th>
        <td class="right">${count(each.agreed)}</td>
        <td class="right">${count(each.declined)}</td>
        <td class="right">${count(each.unknown)}</td>
        <td>${profiles ? html`<${Share} part=${each.agreed / profiles} words=${share(each.agreed / profiles, 0)} />` : html`<span class="faint">–</span>`}</td>
        <td>${each.campaigns.length ? html`<ul class="lines">${each.campaigns.map((id) => html`<li key=${id}><a href=${to("campaigns", id)}><${Name}>${id}<//></a> ${each.required_by.includes(id) && html`<${Tag} icon="shield">needs a yes<//>`}</li>`)}</ul>` : html`<span class="faint">none</span>`}</td>
      </tr>`,
    )}
  </tbody>
</table></div>`;

const Explained = () => html`<section class="panel prose">
  <h2>How consent works</h2>
  <dl class="terms">
    <div><dt>Agreed</dt><dd>Campaigns that act for this purpose may make offers.</dd></div>
    <div><dt>Declined</dt><dd>Nobody is offered anything for it, from that moment on.</dd></div>
    <div><dt>Not asked</dt><dd>Offers are made, unless the campaign needs a recorded yes.</dd></div>
  </dl>
  <p>
    Answers belong to profiles: your own systems write them, one by one (<code>PUT /v1/profiles/ID</code>) or from a file
    (<code>geotarget profiles import</code>). A campaign names its purpose, and whether it needs a yes, under Audience.
    Each change of an answer stands in the <a href=${to("settings", "audit")}>audit log</a>, without the person's name.
  </p>
</section>`;
