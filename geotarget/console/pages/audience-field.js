// Who is meant: named audiences, conditions, the rule itself, and how many people that is now.

import { html, useEffect, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { zones } from "../catalogue.js";
import { many } from "../format.js";
import { may } from "../session.js";
import { Area, Button, Check, Icon, Select, Text, Trouble } from "../parts/parts.js";
import { say } from "../parts/toasts.js";
import { Builder } from "./audience-builder.js";
import { Keeping, Naming } from "./audience-named.js";
import { Spot } from "./audience-spot.js";
import { Wrong } from "./campaign-draft.js";
import { Picks, Section } from "./campaign-parts.js";
import { zoneChoices, zonesMeant } from "./campaign-trigger.js";

const PAUSE_MS = 500;

export function Audience({ form, change, wrong, audiences, again }) {
  const set = (name) => (value) => change({ [name]: value });
  const [naming, setNaming] = useState(false);
  const [keeping, setKeeping] = useState(false);
  const [chosen, setPlace] = useState(null);
  const place = chosen ?? (zonesMeant(form) || [])[0]?.id ?? "";
  const count = useCount(form, audiences, place);
  const found = count.error?.status === 422 ? new Wrong(count.error.errors).at("$.rule") : undefined;
  const told = [form.audiences.length && many(form.audiences.length, "named audience"), form.rule.trim() && "a rule"].filter(Boolean).join(" and ") || "Everybody";
  return html`<${Section} title="Audience" told=${told} open=${told !== "Everybody"}>
    ${!may("audiences:read") && form.audiences.length > 0 && html`<p>Named audiences: <bdi>${form.audiences.join(", ")}</bdi></p>`}
    ${may("audiences:read") &&
    html`<${Picks}
      label="Named audiences"
      what="audiences"
      hint="All that are chosen must hold."
      wrong=${wrong.at("$.audiences")}
      options=${audiences?.map(({ id, name, description, rule }) => ({ value: id, words: name || id, note: description || rule }))}
      chosen=${form.audiences}
      onChosen=${set("audiences")}
      empty=${html`<p class="faint">None yet. Write a rule here and keep it under a name, to use it in other campaigns.</p>`}
    />
    ${may("audiences:write") && audiences?.length > 0 && html`<div><${Button} kind="small" icon="pencil" onClick=${() => setKeeping(true)}>Change or delete named audiences<//></div>`}`}
    <${Builder} rule=${form.rule} onRule=${set("rule")} />
    <${Area}
      label="The rule (CEL)"
      code
      spellcheck="false"
      placeholder="Empty: everybody"
      maxlength="4000"
      wrong=${found || wrong.at("$.audience")}
      value=${form.rule}
      onValue=${set("rule")}
    />
    <${Spot} rule=${form.rule} reason=${found || wrong.at("$.audience")} />
    <${Count} count=${count} form=${form} place=${place} setPlace=${setPlace} />
    ${may("audiences:write") &&
    form.rule.trim() &&
    !found &&
    html`<div><${Button} kind="small" icon="save" onClick=${() => setNaming(true)}>Keep this rule under a name<//></div>`}
    <details open=${form.consentRequired || form.purpose !== "marketing"}>
      <summary>Consent</summary>
      <div class="stack">
        <div class="narrow-field"><${Text} label="Purpose" hint="Who said no to it never gets this offer." wrong=${wrong.at("$.consent.purpose")} value=${form.purpose} onValue=${set("purpose")} /></div>
        <${Check} label="Only who has said yes" hint="Otherwise silence is no refusal." value=${form.consentRequired} onValue=${set("consentRequired")} />
      </div>
    </details>
    ${keeping && html`<${Keeping} audiences=${audiences || []} again=${again} onClose=${() => setKeeping(false)} />`}
    ${naming &&
    html`<${Naming}
      rule=${form.rule}
      taken=${audiences || []}
      onClose=${() => setNaming(false)}
      onSaved=${(stored) => {
        setNaming(false);
        again();
        change({ rule: "", audiences: [...new Set([...form.audiences, stored.id])] });
        say(`The audience ${stored.name || stored.id} was saved, and this campaign uses it.`);
      }}
    />`}
  <//>`;
}

/** How many people are meant now; asked when nobody has typed for half a second. */
function useCount(form, audiences, zone) {
  const [state, setState] = useState({ value: null, error: null, waiting: false });
  const rule = form.rule.trim() ? form.rule : "";
  const known = form.audiences.map((id) => audiences?.find((each) => each.id === id)).filter(Boolean);
  const named = known.map((each) => each.rule);
  const key = JSON.stringify([rule, named, zone]);
  const [times, setTimes] = useState(0);
  useEffect(() => {
    if (!may("audiences:read") || (!rule && !named.length)) {
      setState({ value: null, error: null, waiting: false });
      return undefined;
    }
    const stop = new AbortController();
    const asked = { ...(rule && { rule }), audiences: known.map(({ id }) => id), ...(zone && { zone }) };
    setState((before) => ({ ...before, waiting: true }));
    const timer = setTimeout(async () => {
      try {
        const value = await post("/v1/audiences:count", asked, { signal: stop.signal });
        setState({ value, error: null, waiting: false });
      } catch (error) {
        if (!stop.signal.aborted) setState({ value: null, error, waiting: false });
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key, times]);
  const local = /\b(here|minutes_here|days_since_here)\s*\(|\bzone\./.test([rule, ...named].join(" "));
  return { ...state, asked: Boolean(rule || named.length), local, again: () => setTimes((before) => before + 1) };
}

function Count({ count, form, place, setPlace }) {
  const { value, error, waiting, asked, local, again } = count;
  if (!may("audiences:read")) return html`<p class="faint">Your key may not count people (audiences:read).</p>`;
  if (!asked) return html`<p class="reach" role="status"><${Icon} name="users" />Everybody who has not refused.</p>`;
  if (error && error.status !== 422) return html`<${Trouble} error=${error} again=${again} />`;
  return html`<div class="reach-box">
    <p class="reach" role="status" aria-busy=${waiting}>
      <${Icon} name="users" />
      ${value ? html`<span><strong>${value.text[0].toUpperCase() + value.text.slice(1)}</strong>${waiting ? " …" : ""}
          ${value.undecided > 0 && html`<small>For ${many(value.undecided, "person", "people")} it can't be told${value.undecided_because && `, mostly because ${value.undecided_because.replace(/^(line \d+, )?column \d+: /, "")}`}. They do not belong.</small>`}
        </span>`
        : waiting ? "Counting …" : "The rule can't be counted yet."}
    </p>
    ${local && html`<${AtZone} ...${{ form, place, setPlace }} />`}
  </div>`;
}

/** Rules about "here" need a place to be counted at. */
function AtZone({ form, place, setPlace }) {
  const meant = zonesMeant(form) || zones.value || [];
  const options = [["", "No zone: rules about “here” hold for nobody"], ...zoneChoices(meant, place)];
  return html`<${Select} label="Counted as if they came to" options=${options} value=${place} onValue=${setPlace} />`;
}
