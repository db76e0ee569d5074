// "When somebody …": what they do, where, and how sure that must be.

import { computed, html } from "../vendor/preact.js";
import { zones } from "../catalogue.js";
import { many } from "../format.js";
import { Check, Icon, Select } from "../parts/parts.js";
import { Picks, Radios, Section, Span, Toggles, WrongLine } from "./campaign-parts.js";
import { triggerWords } from "./campaign-words.js";

const KINDS = [["enter", "Enters"], ["dwell", "Stays a while"], ["exit", "Leaves"], ["crossed", "Passes through"]];
const FEW = 24;
const SURE = [
  ["1", "Likely: as early as can be told"],
  ["2", "Confirmed: fewer wrong ones"],
  ["3", "Certain: only what is beyond doubt"],
];

const OFFERED = 200;

/** Zones to choose one of, for a preview or a count: not all of ten thousand. */
export const zoneChoices = (some, chosen) => {
  const shown = some.slice(0, OFFERED);
  const extra = some.find(({ id }) => id === chosen);
  return (extra && !shown.includes(extra) ? [...shown, extra] : shown).map((zone) => [zone.id, zone.properties.name || zone.id]);
};

/** The active zones that the form means now; undefined until zones are loaded. */
export function zonesMeant({ chosen, ids, tags, exclude }) {
  const [wanted, not] = [new Set(ids), new Set(exclude)];
  return zones.value?.filter(
    (zone) =>
      zone.properties.active !== false &&
      !not.has(zone.id) &&
      (!chosen || wanted.has(zone.id) || (zone.properties.tags || []).some((tag) => tags.includes(tag))),
  );
}

export function Trigger({ form, change, wrong }) {
  const set = (name) => (value) => change({ [name]: value });
  const meant = zonesMeant(form);
  const trigger = {
    on: form.on,
    dwell_s: Number(form.dwell.number.replace(",", ".")) * Number(form.dwell.unit),
    zones: { ids: form.chosen ? form.ids : [], tags: form.chosen ? form.tags : [], exclude: form.exclude },
  };
  return html`<${Section} title="When somebody …" told=${triggerWords(trigger)}>
    <div class="field">
      <span class="label" aria-hidden="true">They do</span>
      <${Toggles} label="What they do" options=${KINDS} chosen=${form.on} onChosen=${set("on")} />
      <${WrongLine} words=${wrong.at("$.trigger.on")} />
    </div>
    ${form.on.includes("dwell") && html`<div class="narrow-field"><${Span} label="They stay" wrong=${wrong.at("$.trigger.dwell_s")} value=${form.dwell} onValue=${set("dwell")} /></div>`}
    <${Radios}
      label="Where"
      value=${form.chosen ? "some" : "all"}
      onValue=${(value) => change({ chosen: value === "some" })}
      options=${[["all", "Any zone", ""], ["some", "Zones that I choose", ""]]}
    />
    ${form.chosen && html`<${Chosen} form=${form} change=${change} />`}
    <${WrongLine} words=${wrong.at("$.trigger.zones")} />
    ${meant && html`<p class=${meant.length ? "meant" : "notice warn"}>
      <${Icon} name=${meant.length ? "map-pin" : "triangle-alert"} small />
      ${meant.length ? `That is ${many(meant.length, "zone")} at the moment.` : "That is no active zone at the moment: nobody would get anything."}
    </p>`}
    <details open=${form.exclude.length > 0}>
      <summary>Except, how sure, and those who are inside already</summary>
      <div class="stack">
        <${Picks} label="Except these zones" what="zones" options=${zoneOptions.value} chosen=${form.exclude} onChosen=${set("exclude")} />
        <div class="narrow-field"><${Select} label="How sure must it be?" options=${SURE} value=${form.sure} onValue=${set("sure")} /></div>
        <${Check} label="Only the most specific zone" hint="Of several zones entered at one time the one of the highest priority, then the smallest." value=${form.specific} onValue=${set("specific")} />
        <${Check} label="Those count who are inside when their device is first seen" hint="Nobody saw them come in." value=${form.initial} onValue=${set("initial")} />
        <${Check} label="Ask once, with this save, for those who are inside already" hint="Otherwise a change never speaks to people who came before it." value=${form.inside} onValue=${set("inside")} />
      </div>
    </details>
  <//>`;
}

// made once for all keystrokes: there may be ten thousand zones
const zoneOptions = computed(() =>
  zones.value?.map((zone) => ({
    value: zone.id,
    words: zone.properties.name || zone.id,
    note: [(zone.properties.tags || []).join(", "), zone.properties.active === false && "off", zone.properties.sensitive && "sensitive: no offers"].filter(Boolean).join(" · "),
  })),
);

const tagOptions = computed(() => {
  if (!zones.value) return undefined;
  const times = new Map();
  for (const zone of zones.value) for (const tag of zone.properties.tags || []) times.set(tag, (times.get(tag) || 0) + 1);
  return [...times].sort().map(([tag, number]) => ({ value: tag, note: many(number, "zone") }));
});

function Chosen({ form, change }) {
  return html`<div class="two">
    <${Picks}
      label="By name"
      what="zones"
      options=${zoneOptions.value}
      chosen=${form.ids}
      onChosen=${(ids) => change({ ids })}
      empty=${html`<p class="faint">There are no zones yet. Draw one first.</p>`}
    />
    <${Tags} chosen=${form.tags} onChosen=${(tags) => change({ tags })} />
  </div>`;
}

/** A few tags are buttons, many are a list with a search. */
function Tags({ chosen, onChosen }) {
  const options = tagOptions.value;
  const hint = "Zones that get the tag later are meant, too.";
  if (!options?.length || options.length > FEW) {
    return html`<${Picks} label="By tag" what="tags" hint=${hint} options=${options} chosen=${chosen} onChosen=${onChosen} empty=${html`<p class="faint">No zone carries a tag.</p>`} />`;
  }
  const gone = chosen.filter((tag) => !options.some(({ value }) => value === tag)).map((tag) => ({ value: tag, note: "no zone" }));
  return html`<div class="field">
    <span class="label" aria-hidden="true">By tag</span>
    <${Toggles} label="By tag" options=${[...options, ...gone].map(({ value, note }) => [value, html`<bdi>${value}</bdi> <small>${note}</small>`])} chosen=${chosen} onChosen=${onChosen} />
    <span class="hint">${hint}</span>
  </div>`;
}
