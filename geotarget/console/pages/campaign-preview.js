// What one person would get from the campaign as it stands in the form, as it would look on a phone,
// and whether anything would keep it from being sent.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, piece, post } from "../api.js";
import { zones } from "../catalogue.js";
import { instant } from "../format.js";
import { may } from "../session.js";
import { Area, Icon, Select, Text, Trouble } from "../parts/parts.js";
import { zoneChoices, zonesMeant } from "./campaign-trigger.js";

const PAUSE_MS = 600;
const SAMPLE = "first_name: Aino\nlanguage: en\ntier: gold";
const GATES = {
  trigger: "Trigger", schedule: "Schedule", consent: "Consent", audience: "Audience", holdout: "Comparison", cap: "Limits",
  budget: "Budget", arbitration: "Other campaigns", variant: "Variant", content: "Offer",
};

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

async function render(document, who, signal) {
  const ask = (campaign) => post("/v1/campaigns:preview", { campaign, ...who }, { signal });
  try {
    return await ask({ ...document, name: document.name || "Draft", endpoints: document.endpoints.length ? document.endpoints : ["preview"] });
  } catch (error) {
    const elsewhere = error.errors?.some(({ path }) => /^\$\.campaign\.(?!offer|variants|translations)/.test(path));
    if (error.status !== 422 || !elsewhere) throw error;
    return ask(bare(document));
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
  const who = { ...(real ? { profile: profile.trim() } : { sample: attributesOf(sample) }), ...(place && { zone: place }) };
  const key = JSON.stringify([document, who]);
  useEffect(() => {
    if (real && !profile.trim()) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      setState((before) => ({ ...before, waiting: true }));
      render(document, who, stop.signal).then(
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
  const people = usePeople(real);
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
          ? html`<${Text} label="Profile id" list="preview-people" placeholder=${people[0] || ""} value=${profile} onValue=${setProfile} autocomplete="off" />
              <datalist id="preview-people">${people.map((each) => html`<option key=${each} value=${each}></option>`)}</datalist>`
          : html`<${Area} label="Attributes" hint="One a line." rows="3" code spellcheck="false" value=${sample} onValue=${setSample} />`}
        <${Select}
          label="At"
          value=${place}
          onValue=${setZone}
          options=${[...(place ? [] : [["", "A made-up zone"]]), ...zoneChoices(meant.length ? meant : zones.value || [], place)]}
        />
      </div>
      ${real && profile.trim() && !error && html`<${Sent} gates=${value?.gates} profile=${profile.trim()} campaign=${id} purpose=${form.purpose} />`}
    </div>
  </section>`;
}

/** Some ids to choose from. */
function usePeople(wanted) {
  const [people, setPeople] = useState([]);
  useEffect(() => {
    if (!wanted || people.length || !may("audiences:read")) return;
    post("/v1/audiences:count", { rule: "true" }).then((answer) => setPeople(answer.sample), () => {});
  }, [wanted]);
  return people;
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

/**
 * Whether it would be sent. A server that tells all gates is believed; of an older one what can be
 * known: the consent of the profile, and what this campaign decided about it last.
 */
function Sent({ gates, profile, campaign, purpose }) {
  const [known, setKnown] = useState(null);
  useEffect(() => {
    if (gates) return undefined;
    let over = false;
    lookUp(profile, campaign, purpose).then((found) => over || setKnown(found), () => over || setKnown([]));
    return () => {
      over = true;
    };
  }, [Boolean(gates), profile, campaign, purpose]);
  const told = gates ? gates.map(({ gate, holds, reason }) => ({ words: GATES[gate] || gate, holds, reason })) : known;
  if (!told?.length) return null;
  const refused = told.find(({ holds }) => holds === false);
  return html`<div class="sent">
    <h3>${refused ? "It would not be sent now" : gates ? "It would be sent now" : "Nothing known is against it"}</h3>
    <ul>
      ${told.map(
        ({ words, holds, reason }) => html`<li key=${words + reason} class=${holds === false ? "no" : "yes"}>
          <${Icon} name=${holds === false ? "circle-x" : holds === null ? "info" : "circle-check"} small />
          <span><strong>${words}</strong> ${reason}</span>
        </li>`,
      )}
    </ul>
  </div>`;
}

async function lookUp(profile, campaign, purpose) {
  const told = [];
  const stored = await get(`/v1/profiles/${piece(profile)}`).catch(() => null);
  const said = stored?.consent?.[purpose];
  if (said === false) told.push({ words: "Consent", holds: false, reason: `They said no to “${purpose}”.` });
  else if (stored) told.push({ words: "Consent", holds: true, reason: said ? `They said yes to “${purpose}”.` : `They said nothing about “${purpose}”.` });
  const device = stored?.devices?.[0] || profile;
  if (campaign) {
    const { items } = await get("/v1/decisions", { campaign, device, limit: 1 }).catch(() => ({ items: [] }));
    const [last] = items;
    if (last) {
      const reason = `${last.gate === "fired" ? "It was sent" : `${GATES[last.gate] || last.gate}: ${last.reason}`} (${instant(last.time)}, version ${last.campaign_version})`;
      told.push({ words: "Last time", holds: null, reason });
    }
  }
  return told;
}
