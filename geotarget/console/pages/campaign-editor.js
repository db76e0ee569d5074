// One campaign as a page: its form, the preview beside it, and a foot that saves.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { all, get, put, seen } from "../api.js";
import { go, guarded, to } from "../router.js";
import { may } from "../session.js";
import { Button, Dialog, Empty, Icon, Name, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { say } from "../parts/toasts.js";
import { Backtest, mayTry } from "./campaign-backtest.js";
import { address, begins, Delete, editing, move, MOVES, warn, Warnings } from "./campaign-actions.js";
import { Clash } from "./campaign-clash.js";
import { documentIn, documentOf, formOf, lacks, standing, Wrong } from "./campaign-draft.js";
import { CampaignForm } from "./campaign-form.js";
import { useArrival } from "./campaign-parts.js";
import { Preview } from "./campaign-preview.js";
import { STATUS } from "./campaign-words.js";
import { idOf } from "./zone-form.js";

/** `id` is empty for a new campaign; `like` then names the one that it begins as. */
export function CampaignEditor({ id, like = "" }) {
  const from = id || like;
  const { value, error, waiting, again } = useAnswer((signal) => (from ? get(address(from), {}, { signal }) : Promise.resolve(null)), [from]);
  const lists = useLists(id);
  if (error?.status === 404) {
    return html`<div class="column"><${Empty} icon="megaphone" title="There is no such campaign">
      <p>It may have been deleted. ${id && html`<a href=${to("campaigns", id, "versions")}>Its versions</a> are kept.`}</p>
      <a class="button" href=${to("campaigns")}>All campaigns</a>
    <//></div>`;
  }
  if (error && !value) return html`<div class="column"><${Trouble} error=${error} again=${again} /></div>`;
  if (value === undefined) return html`<div class="column"><section class="panel flush">${waiting && html`<${Waiting} what="Loading the campaign" />`}</section></div>`;
  return html`<${Editing} key=${value?.updated} from=${id ? value : null} like=${id ? null : value} lists=${lists} reload=${again} />`;
}

function useLists(id) {
  const arms = useAnswer((signal) => (id ? get(`${address(id)}/variants`, {}, { signal }) : Promise.resolve({ variants: [] })), [id]);
  const endpoints = useAnswer(() => (may("endpoints:read") ? all("/v1/endpoints") : Promise.resolve([])));
  const audiences = useAnswer(() => (may("audiences:read") ? all("/v1/audiences") : Promise.resolve([])));
  return {
    endpoints: endpoints.value,
    audiences: audiences.value,
    arms: Object.fromEntries((arms.value?.variants || []).map((each) => [each.variant, each])),
    error: endpoints.error || audiences.error,
    again: () => {
      endpoints.again();
      audiences.again();
    },
  };
}

function begin(stored, like) {
  if (stored) return formOf(documentIn(stored));
  if (!like) return formOf();
  return { ...formOf(documentIn(like)), name: `${like.name} (copy)`, status: "draft" };
}

function Editing({ from, like, lists, reload }) {
  const [stored, setStored] = useState(from);
  const [form, setForm] = useState(() => begin(from, like));
  const [refused, setRefused] = useState(null); // what saving came to
  const [errors, setErrors] = useState([]);
  const [templates, setTemplates] = useState([]); // what the preview could not write
  const [busy, setBusy] = useState("");
  const [leaving, setLeaving] = useState(null);
  const [deleting, setDeleting] = useState(false);
  const [trying, setTrying] = useState(false);
  const [clash, setClash] = useState(null); // the status that was to be saved when somebody else was first
  const page = useRef();
  const heading = useArrival();
  const sent = useRef(null); // the document that the errors speak of
  const id = stored?.id || "";
  const writes = may("campaigns:write");
  const { document } = useMemo(() => documentOf(form), [form]);
  const before = useRef(null); // the document as it is stored, to tell whether anything has changed
  before.current ||= document;
  const dirty = useRef(false);
  dirty.current = writes && !busy && (JSON.stringify(document) !== JSON.stringify(before.current) || Boolean(form.id));
  const gone = useRef(false); // somebody said so: no further question
  /** Go on with what is stored now; what was typed meanwhile stays, and is not saved yet. */
  const took = (answer) => {
    const kept = { status: answer.status, inside: false };
    setStored(answer);
    setForm((now) => ({ ...now, ...kept }));
    before.current = documentOf({ ...form, ...kept }).document;
  };
  const moved = (answer) => {
    if (!answer) return;
    before.current = { ...before.current, status: answer.status };
    setStored(answer);
    setForm((now) => ({ ...now, status: answer.status }));
  };
  const change = (changes) => setForm((now) => ({ ...now, ...changes }));
  const now = { ...document, id: form.id || idOf(form.name) };
  const left = standing(errors, sent.current, now);
  const wrong = new Wrong([...left, ...templates.filter(({ path }) => !left.some((each) => each.path === path))]);
  const rest = new Wrong(left).rest;

  useEffect(() => {
    const asks = (event) => dirty.current && !gone.current && event.preventDefault();
    addEventListener("beforeunload", asks);
    const free = guarded((leave) => {
      if (!dirty.current || gone.current) return true;
      setLeaving(() => leave);
      return false;
    });
    return () => {
      removeEventListener("beforeunload", asks);
      free();
    };
  });

  const showWrong = () =>
    requestAnimationFrame(() => {
      const all = page.current.querySelectorAll('form [aria-invalid="true"], form [data-wrong]');
      for (const each of all) {
        for (let box = each.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
      }
      all[0]?.focus();
      all[0]?.scrollIntoView({ block: "center" });
    });

  /** `over`: the version to replace, where that is not the one that was opened; 0: none. */
  const save = async (status, over = stored?.version || 0) => {
    setRefused(null);
    const { document: made, errors: unread } = documentOf({ ...form, status });
    const name = id || form.id?.trim() || idOf(form.name);
    const found = [...lacks(form, status === "active" || status === "scheduled"), ...unread];
    if (!name && form.name.trim()) found.push({ path: "$.id", reason: "This name makes no id: write one, such as summer-2027." });
    sent.current = { ...made, id: name };
    setErrors(found);
    if (found.length) return showWrong();
    setBusy(status);
    try {
      const answer = await put(address(name), made, seen(over));
      say(answer.version === stored?.version ? "Nothing has changed." : `${answer.name} was saved: ${STATUS[answer.status][1].toLowerCase()}, version ${answer.version}.`);
      warn(name, answer.matches_zones === 0 ? ["No active zone is meant at the moment.", ...answer.warnings] : answer.warnings);
      if (id) {
        took(answer);
        setBusy("");
        return undefined;
      }
      setBusy("done"); // no question about changes while the page changes
      if (status === "draft") location.hash = editing(name);
      else go("campaigns");
    } catch (error) {
      setBusy("");
      if (error.status === 412 && id) return setClash(status);
      const taken = [{ path: "$.id", reason: `There is a campaign with the id “${name}” already: give this one another id.` }];
      setRefused(error.status === 412 ? null : error);
      setErrors(error.status === 412 ? taken : error.errors || []);
      showWrong();
    }
    return undefined;
  };
  const starting = begins(document.schedule) ? "scheduled" : "active";
  const [kind, words] = STATUS[form.status] || ["", form.status];
  return html`<div class="column campaign-page" ref=${page}>
    <p><a class="back" href=${to("campaigns")}><${Icon} name="chevron-left" small /> Campaigns</a></p>
    <header class="page-head">
      <div>
        <h1 tabindex="-1" ref=${heading}><${Name}>${stored ? stored.name : like ? `Copy of ${like.name}` : "New campaign"}<//> ${stored && html`<${Tag} kind=${kind}>${words}<//>`}</h1>
        ${stored && html`<p><${Name}>${id}<//></p>`}
      </div>
      ${stored ? html`<${Actions} campaign=${stored} ...${{ writes, moved, onTry: () => setTrying(true), onDelete: () => setDeleting(true) }} />` : html`<div class="actions"><${Try} onTry=${() => setTrying(true)} /></div>`}
    </header>
    ${!writes && html`<p class="notice"><${Icon} name="info" />You can look at this campaign. To change it your key needs the right campaigns:write.</p>`}
    ${stored && html`<${Warnings} id=${id} />`}
    <${Trouble} error=${lists.error} again=${lists.again} />
    <div class="campaign-edit">
      <form id="campaign" novalidate onSubmit=${(event) => event.preventDefault()}>
        <fieldset disabled=${!writes}><${CampaignForm} ...${{ form, id, change, wrong, lists }} /></fieldset>
      </form>
      <aside><${Preview} document=${document} form=${form} id=${id} onErrors=${setTemplates} /></aside>
    </div>
    ${writes &&
    html`<footer class="save-bar">
      ${(rest.length > 0 || (refused && !refused.errors?.length)) && html`<${Trouble} error=${rest.length ? { title: refused?.title, errors: rest, message: "" } : refused} />`}
      <div class="row">
        <p class="state" role="status">${state(left, dirty.current, stored)}</p>
        <span class="push row"><${Saves} status=${form.status} isNew=${!id} starting=${starting} busy=${busy} save=${save} /></span>
      </div>
    </footer>`}
    ${leaving && html`<${Leaving} onStay=${() => setLeaving(null)} onLeave=${() => { gone.current = true; leaving(); }} />`}
    ${clash && html`<${Clash} opened=${stored} onStay=${() => setClash(null)} onReload=${reload} onOver=${(version) => { setClash(null); save(clash, version); }} />`}
    ${trying && html`<${Backtest} form=${form} id=${id || now.id} stored=${Boolean(stored) && !dirty.current} onClose=${() => setTrying(false)} />`}
    ${deleting && html`<${Delete} campaign=${stored} onClose=${() => setDeleting(false)} onDone=${() => { gone.current = true; go("campaigns"); }} />`}
  </div>`;
}

function state(errors, dirty, stored) {
  if (errors.length) return html`<${Icon} name="circle-alert" small /> ${errors.length === 1 ? "One thing needs a look" : `${errors.length} things need a look`}`;
  if (dirty) return "Not saved yet";
  return stored ? `Version ${stored.version}, saved` : "";
}

/** The buttons of the foot: what saving can mean depends on whether it speaks already. */
function Saves({ status, isNew, starting, busy, save }) {
  const start = (words) => html`<${Button} kind="main" icon="play" busy=${busy === starting} onClick=${() => save(starting)}>${starting === "scheduled" ? "Save and plan" : words}<//>`;
  const keep = (to, words, kind = "") => html`<${Button} kind=${kind} icon="save" busy=${busy === to} onClick=${() => save(to)}>${words}<//>`;
  if (isNew || status === "draft") return html`${keep("draft", "Save as draft")}${start("Save and start")}`;
  if (status === "active" || status === "scheduled") return html`${keep("draft", "Stop, save as draft")}${keep(status === "active" ? "active" : starting, "Save changes", "main")}`;
  return html`${keep(status, "Save")}${start("Save and start")}`;
}

const Try = ({ onTry }) => mayTry() && html`<${Button} kind="small" icon="flask-conical" onClick=${onTry}>Try it on the last days<//>`;

function Actions({ campaign, writes, moved, onTry, onDelete }) {
  const { id, status, version } = campaign;
  return html`<div class="actions">
    <${Try} onTry=${onTry} />
    <a class="button small" href=${to("campaigns", id, "versions")}><${Icon} name="history" />Version ${version}</a>
    <a class="button small" href=${to("results", "campaign", id)}><${Icon} name="chart-column" />Results</a>
    ${writes &&
    html`${(MOVES[status] || [])
        .filter(([wanted]) => wanted !== "active")
        .map(([wanted, icon, label]) => html`<${Button} key=${wanted} kind="small" icon=${icon} onClick=${() => move(id, wanted, moved)}>${label}<//>`)}
      <a class="button small" href=${to("campaigns", "new", { like: id })}><${Icon} name="copy" />Copy</a>
      <${Button} kind="small danger quiet" icon="trash-2" label="Delete this campaign" onClick=${onDelete} />`}
  </div>`;
}

const Leaving = ({ onStay, onLeave }) =>
  html`<${Dialog}
    title="Leave without saving?"
    onClose=${onStay}
    onSubmit=${onLeave}
    foot=${html`<${Button} autofocus onClick=${onStay}>Stay here<//><${Button} type="submit" kind="danger main">Leave<//>`}
  >
    <p>What you changed here is not saved and would be gone.</p>
  <//>`;
