// What one person would get from the campaign as it stands in the form, as it would look on a phone,
// and whether anything would keep it from being sent.

import { html, useEffect, useId, useState } from "../vendor/preact.js";
import { get, post } from "../api.js";
import { zones } from "../catalogue.js";
import { may } from "../session.js";
import { Area, Icon, Name, Select, Text, Trouble } from "../parts/parts.js";
import { lacks } from "./campaign-draft.js";
import { zoneChoices, zonesMeant } from "./campaign-trigger.js";
import { GATE_NAMES } from "./gates.js";

const PAUSE_MS = 600;
const SAMPLE = "first_name: Aino\nlanguage: en\ntier: gold";
const SHOWN = 6;

/** "name: value" lines as attributes; a value that is JSON is what it says. */
function attributesOf(lines) {
  const made = {};
  for (const line of lines.split("\n")) {
    const at = line.indexOf(":");
    if (at < 1) continue;
    const value = line.slice(at + 1).trim();
    try {
      made[line.slice(0, at).trim()] = JSON.parse(value);
    } catch {
      made[line.slice(0, at).trim()] = value;
    }
  }
  return made;
}

/** The least that renders: what else is wrong with the draft must not hide the offer. */
const bare = ({ name, offer, translations, variants, allocation }) => ({
  name: name || "Draft",
  offer,
  translations,
  variants: variants.map((each, at) => ({ id: each.id || String(at + 1), offer: each.offer, translations: each.translations })),
  allocation,
  endpoints: ["preview"],
});

/** What a draft may lack and still be shown whole. */
const NOT_NEEDED = new Set(["$.name", "$.endpoints"]);

async function render(document, id, who, lacking, signal) {
  const ask = (campaign) => post("/v1/campaigns:preview", { campaign, ...(id && { id }), ...who }, { signal });
  if (lacking.some(({ path }) => !NOT_NEEDED.has(path))) return { ...(await ask(bare(document))), gates: null };
  try {
    return await ask({ ...document, name: document.name || "Draft", endpoints: document.endpoints.length ? document.endpoints : ["preview"] });
  } catch (error) {
    const elsewhere = error.errors?.some(({ path }) => /^\$\.campaign\.(?!offer|variants|translations)/.test(path));
    if (error.status !== 422 || !elsewhere) throw error;
    return { ...(await ask(bare(document))), gates: null };
  }
}

/**
 * @param {{document: object, form: object, id: string, onErrors: (errors) => void}} properties
 *   `onErrors` hears what is wrong with the templates, with paths of the campaign.
 */
export function Preview({ document, form, id, onErrors }) {
  const [real, setReal] = useState(false);
  const [profile, setProfile] = useState("");
  const [sample, setSample] = useState(SAMPLE);
  const [zone, setZone] = useState("");
  const [picked, setPicked] = useState({ variant: null, language: "" });
  const [state, setState] = useState({ value: null, error: null, waiting: true });
  const [times, setTimes] = useState(0);
  const meant = zonesMeant(form) || [];
  const place = zone || meant[0]?.id || "";
  const who = { ...(real && profile ? { profile } : { sample: attributesOf(sample) }), ...(place && { zone: place }) };
  const key = JSON.stringify([document, who]);
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      setState((before) => ({ ...before, waiting: true }));
      render(document, id, who, lacks(form, false), stop.signal).then(
        (value) => {
          setState({ value, error: null, waiting: false });
          onErrors(value.offers.filter(({ problem }) => problem).map(({ path, problem }) => ({ path, reason: problem })));
        },
        (error) => {
          if (stop.signal.aborted) return;
          const ours = (error.errors || []).filter(({ path }) => path.startsWith("$.campaign"));
          onErrors(ours.map((each) => ({ ...each, path: `$${each.path.slice(10)}` })));
          setState((before) => ({ value: ours.length ? before.value : null, error, waiting: false }));
        },
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key, times]);
  const { value, error, waiting } = state;
  const variants = [...new Set((value?.offers || []).map((each) => each.variant))];
  const variant = variants.includes(picked.variant) ? picked.variant : variants[0];
  const ofVariant = (value?.offers || []).filter((each) => each.variant === variant);
  const shown = ofVariant.find(({ language }) => language === picked.language) || ofVariant[0];
  return html`<section class="panel preview" aria-label="Preview">
    <header><h2>Preview</h2>${waiting && html`<span class="faint" role="status">Writing …</span>`}</header>
    <div class="stack">
      <${Phone} shown=${shown} name=${document.name} />
      ${variants.length > 1 &&
      html`<div class="toggles" role="group" aria-label="Variant">
        ${variants.map((each) => html`<button type="button" class="toggle" key=${each} aria-pressed=${each === variant} onClick=${() => setPicked({ ...picked, variant: each })}><bdi>${each}</bdi></button>`)}
      </div>`}
      ${ofVariant.length > 1 &&
      html`<div class="toggles" role="group" aria-label="Language">
        ${ofVariant.map(({ language }) => html`<button type="button" class="toggle" key=${language} aria-pressed=${language === shown.language} onClick=${() => setPicked({ ...picked, language })}>${language || "As written"}</button>`)}
      </div>`}
      ${shown?.problem && html`<p class="notice bad"><${Icon} name="circle-alert" />${shown.problem}</p>`}
      ${error && (error.errors?.every(({ path }) => path.startsWith("$.campaign")) && error.errors.length
        ? html`<p class="notice bad" role="status"><${Icon} name="circle-alert" />The offer can't be written like this: see its fields.</p>`
        : html`<${Trouble} error=${error} again=${() => setTimes((before) => before + 1)} />`)}
      <div class="stack who">
        ${may("profiles:read") &&
        html`<div class="toggles" role="group" aria-label="For whom">
          ${[[false, "For a sample"], [true, "For a real profile"]].map(([each, words]) => html`<button type="button" class="toggle" key=${words} aria-pressed=${real === each} onClick=${() => setReal(each)}>${words}</button>`)}
        </div>`}
        ${real
          ? html`<${Person} person=${profile} onPerson=${setProfile} />`
          : html`<${Area} label="Attributes" hint="One a line." rows="3" code spellcheck="false" value=${sample} onValue=${setSample} />`}
        <${Select}
          label="At"
          value=${place}
          onValue=${setZone}
          options=${[...(place ? [] : [["", "A made-up zone"]]), ...zoneChoices(meant.length ? meant : zones.value || [], place)]}
        />
      </div>
      ${real && profile && value?.gates && value.profile === profile && !error && html`<${Sent} gates=${value.gates} status=${form.status} />`}
    </div>
  </section>`;
}

/** Finds somebody by the beginning of their id or first name. */
function Person({ person, onPerson }) {
  const [typed, setTyped] = useState(person);
  const [found, setFound] = useState({ items: [], of: null, error: null });
  const box = useId();
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      get("/v1/profiles", { q: typed.trim(), limit: SHOWN }, { signal: stop.signal }).then(
        ({ items }) => setFound({ items, of: typed, error: null }),
        (error) => stop.signal.aborted || setFound({ items: [], of: typed, error }),
      );
    }, PAUSE_MS / 2);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [typed]);
  const choose = (id) => {
    setTyped(id);
    onPerson(id);
  };
  const type = (text) => {
    setTyped(text);
    if (text !== person) onPerson("");
  };
  const exact = found.of === typed && found.items.some(({ id }) => id === typed.trim());
  useEffect(() => void (exact && onPerson(typed.trim())), [exact, typed]);
  return html`<${Text} label="Who" type="search" placeholder="Id or first name" value=${typed} onValue=${type} autocomplete="off" aria-controls=${box} />
    <${Trouble} error=${found.error} />
    <div id=${box} role="status">
      ${!person && found.of === typed && !found.error && html`${found.items.length ? html`<ul class="people" aria-label="Found">
          ${found.items.map(({ id, first_name: name }) => html`<li key=${id}><button type="button" class="toggle" onClick=${() => choose(id)}><${Name}>${id}<//>${name && html` <small><bdi>${name}</bdi></small>`}</button></li>`)}
        </ul>` : html`<p class="faint">Nobody's id or first name begins so.</p>`}`}
    </div>`;
}

const worded = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** The offer as a message on a phone; fields that are neither title nor text below it. */
function Phone({ shown, name }) {
  const { title, text, ...rest } = shown?.offer || {};
  const others = Object.entries(rest);
  return html`<div class="phone">
    <div class="speaker"></div>
    <div class="message" dir="auto">
      <p class="from"><${Icon} name="megaphone" small /><bdi>${name || "Your campaign"}</bdi><span>now</span></p>
      ${title && html`<p class="title" dir="auto">${worded(title)}</p>`}
      ${text && html`<p class="text" dir="auto">${worded(text)}</p>`}
      ${!title && !text && html`<p class="faint">${shown?.offer ? "No title and no text yet." : "Nothing to show yet."}</p>`}
    </div>
    ${others.length > 0 &&
    html`<dl class="others">${others.map(([field, value]) => html`<div key=${field}><dt><bdi>${field}</bdi></dt><dd dir="auto">${worded(value)}</dd></div>`)}</dl>`}
  </div>`;
}

/** Whether it would be sent to this person now: what each gate says, up to the one that refuses. */
function Sent({ gates, status }) {
  const refused = gates.find(({ holds }) => holds === false);
  const asked = gates.filter(({ holds }) => holds !== null);
  const left = gates.filter(({ holds }) => holds === null).map(({ gate }) => GATE_NAMES[gate] || gate);
  const when = status === "active" || status === "scheduled" ? "now" : "now, if it ran";
  return html`<div class="sent">
    <h3>${refused ? "They would not get it" : "They would get it"} ${when}</h3>
    <ul>
      ${asked.map(
        ({ gate, holds, reason }) => html`<li key=${gate} class=${holds ? "yes" : "no"}>
          <${Icon} name=${holds ? "circle-check" : "circle-x"} small />
          <span><strong>${GATE_NAMES[gate] || gate}</strong><span class="unseen">${holds ? " passes" : " refuses"}</span> <bdi>${reason}</bdi></span>
        </li>`,
      )}
    </ul>
    ${left.length > 0 && html`<p class="faint">Not asked any more: ${left.join(", ").toLowerCase()}.</p>`}
  </div>`;
}
