// All campaigns: what each does, and the buttons that start, pause and end it.

import { html, useState } from "../vendor/preact.js";
import { all } from "../api.js";
import { zones } from "../catalogue.js";
import { count, many } from "../format.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Name, Select, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { Delete, editing, move, MOVES, touched, Warnings } from "./campaign-actions.js";
import { scheduleWords, STATUS, triggerWords } from "./campaign-words.js";

const ORDER = ["active", "scheduled", "paused", "draft", "ended"];
const ICONS = { active: "play", scheduled: "calendar-clock", paused: "pause", draft: "pencil", ended: "check" };

export function CampaignList() {
  const answer = useAnswer(() => all("/v1/campaigns"), [touched.value]);
  const [search, setSearch] = useState("");
  const [status, setStatus] = useState("");
  const [deleting, setDeleting] = useState(null);
  const { value, error, waiting, again } = answer;
  const writes = may("campaigns:write");
  const words = search.trim().toLowerCase();
  const found = (value || [])
    .filter((each) => (!status || each.status === status) && `${each.name} ${each.id} ${each.endpoints.join(" ")} ${triggerWords(each.trigger)}`.toLowerCase().includes(words))
    .sort((one, other) => ORDER.indexOf(one.status) - ORDER.indexOf(other.status) || one.name.localeCompare(other.name));
  return html`<div class="column">
    <header class="page-head">
      <div><h1>Campaigns</h1><p>What people are offered when they come, stay or go, and who sends it.</p></div>
      ${writes && html`<div class="actions"><a class="button main" href=${to("campaigns", "new")}><${Icon} name="plus" />New campaign</a></div>`}
    </header>
    <${Trouble} error=${error} again=${again} />
    ${!value && waiting && html`<section class="panel flush"><${Waiting} what="Loading campaigns" /></section>`}
    ${value?.length === 0 && html`<section class="panel"><${Begin} writes=${writes} /></section>`}
    ${value?.length > 0 &&
    html`<section class="panel flush">
      <header class="filters">
        <div class="field grow"><label for="campaign-search">Search</label><input id="campaign-search" type="search" placeholder="Name, id, zone or endpoint" value=${search} onInput=${(event) => setSearch(event.target.value)} /></div>
        <${Select} label="Status" value=${status} onValue=${setStatus} options=${[["", `All (${count(value.length)})`], ...ORDER.map((each) => [each, `${STATUS[each][1]} (${count(value.filter((campaign) => campaign.status === each).length)})`])]} />
      </header>
      ${found.length === 0 && html`<${Empty} icon="search" title="No campaign matches"><${Button} onClick=${() => { setSearch(""); setStatus(""); }}>Show all<//><//>`}
      <ul class="campaigns" aria-busy=${waiting} aria-label="Campaigns">
        ${found.map((each) => html`<${Row} key=${each.id} campaign=${each} writes=${writes} onDelete=${() => setDeleting(each)} />`)}
      </ul>
    </section>`}
    ${deleting && html`<${Delete} campaign=${deleting} onClose=${() => setDeleting(null)} />`}
  </div>`;
}

function Row({ campaign, writes, onDelete }) {
  const [busy, setBusy] = useState("");
  const { id, name, status, trigger, schedule, endpoints, version, variants } = campaign;
  const [kind, words] = STATUS[status] || ["", status];
  const go = async (wanted) => {
    setBusy(wanted);
    await move(id, wanted);
    setBusy("");
  };
  const [first, ...others] = MOVES[status] || [];
  return html`<li class="campaign">
    <div class="what">
      <h2><a href=${editing(id)}><${Name}>${name}<//></a></h2>
      <p class="row"><${Tag} kind=${kind} icon=${ICONS[status]}>${words}<//><span class="faint"><${Name}>${id}<//></span></p>
    </div>
    <dl class="facts">
      <div><dt>When somebody</dt><dd dir="auto">${triggerWords(trigger)}</dd></div>
      <div><dt>Time</dt><dd>${scheduleWords(schedule)}</dd></div>
      <div><dt>Goes to</dt><dd><${Name}>${endpoints.join(", ")}<//>${variants.length > 1 && html`<small>${many(variants.length, "variant")}</small>`}</dd></div>
    </dl>
    <div class="does">
      <a class="version" href=${to("campaigns", id, "versions")} aria-label=${`Versions of ${name}: now version ${version}`}><${Icon} name="history" small />Version ${version}</a>
      ${writes &&
      html`<div class="row">
        ${first && html`<${Button} kind="small" icon=${first[1]} busy=${busy === first[0]} label=${`${first[2]}: ${name}`} onClick=${() => go(first[0])}>${first[2]}<//>`}
        ${others.map(([wanted, icon, label]) => html`<${Button} key=${wanted} kind="small" icon=${icon} busy=${busy === wanted} label=${`${label}: ${name}`} onClick=${() => go(wanted)}>${label}<//>`)}
        <a class="button small quiet square" href=${to("campaigns", "new", { like: id })} aria-label=${`Copy: ${name}`} title="Copy"><${Icon} name="copy" /></a>
        <${Button} kind="small quiet danger" icon="trash-2" label=${`Delete: ${name}`} onClick=${onDelete} />
      </div>`}
    </div>
    <div class="warnings"><${Warnings} id=${id} /></div>
  </li>`;
}

/** The three steps from nothing to an offer. */
function Begin({ writes }) {
  const endpoints = useAnswer(() => (may("endpoints:read") ? all("/v1/endpoints", {}, 1) : Promise.resolve([])));
  const steps = [
    ["Draw a zone", "A shop, a square, a whole quarter.", zones.value?.length > 0, to("zones"), "Go to zones"],
    ["Plan a campaign", "Who gets what, when they come.", false, to("campaigns", "new"), "New campaign"],
    ["Connect an endpoint", "The system that sends the offer on: a CRM, a push service.", endpoints.value?.length > 0, to("deliveries", "endpoints", "new"), "New endpoint"],
  ];
  return html`<div class="empty begin">
    <${Icon} name="megaphone" />
    <h3>No campaigns yet</h3>
    <p>An offer needs three things:</p>
    <ol class="steps">
      ${steps.map(
        ([title, text, done, href, words], at) => html`<li key=${title}>
          <span class="number">${done ? html`<${Icon} name="check" small />` : at + 1}</span>
          <div>
            <h4>${title} ${done && html`<${Tag} kind="good">Done<//>`}</h4>
            <p>${text}</p>
            ${!done && writes && html`<a class=${at === 1 ? "button small main" : "button small"} href=${href}>${words}</a>`}
          </div>
        </li>`,
      )}
    </ol>
  </div>`;
}
