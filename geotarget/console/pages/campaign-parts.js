// What the sections of the campaign form are made of.

import { html, useEffect, useId, useRef, useState } from "../vendor/preact.js";
import { count } from "../format.js";
import { Button, Field, Icon, Name } from "../parts/parts.js";
import { UNITS } from "./campaign-draft.js";

const SEARCHED = 8;
const LISTED = 100;

/** For the heading of a page inside of this one: it is at the top and has the focus when one comes to it. */
export function useArrival() {
  const heading = useRef();
  useEffect(() => {
    document.getElementById("page").scrollTop = 0;
    heading.current?.focus({ preventScroll: true });
  }, []);
  return heading;
}

/** One part of the form; closed it still says, in `told`, what it holds. */
export const Section = ({ title, told, open = true, children }) =>
  html`<details class="panel section" open=${open}>
    <summary><h2>${title}</h2><span class="told">${told}</span><${Icon} name="chevron-down" /></summary>
    <div class="stack">${children}</div>
  </details>`;

/** What is wrong, where no single field can say it. */
export const WrongLine = ({ words }) => words && html`<p class="wrong-line" role="alert" tabindex="-1" data-wrong><${Icon} name="circle-alert" small />${words}</p>`;

/** A length of time: a number and its unit. */
export function Span({ label, hint, wrong, value, onValue, units = UNITS }) {
  return html`<${Field} ...${{ label, hint, wrong }}>
    ${(wiring) => html`<div class="span">
      <input inputmode="decimal" value=${value.number} onInput=${(event) => onValue({ ...value, number: event.target.value })} ...${wiring} />
      <select aria-label=${`${label}: unit`} value=${value.unit} onChange=${(event) => onValue({ ...value, unit: event.target.value })}>
        ${units.map(([size, words]) => html`<option key=${size} value=${size} selected=${size === value.unit}>${words}</option>`)}
      </select>
    </div>`}
  <//>`;
}

/** Words to turn on and off, such as weekdays. */
export function Toggles({ label, options, chosen, onChosen, disabled }) {
  const flip = (value) => onChosen(chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value]);
  return html`<div class="toggles" role="group" aria-label=${label}>
    ${options.map(
      ([value, words]) =>
        html`<button type="button" class="toggle" key=${value} disabled=${disabled} aria-pressed=${chosen.includes(value)} onClick=${() => flip(value)}>${words}</button>`,
    )}
  </div>`;
}

/**
 * Several of many, by name: what is chosen as chips, all of them as a list with a search.
 *
 * @param {{options: {value: string, words?: string, note?: any}[] | undefined}} properties
 *   Options that are undefined are still on their way; what is chosen and not among them is kept.
 */
export function Picks({ label, hint, wrong, what = "them", options, chosen, onChosen, empty }) {
  const [search, setSearch] = useState("");
  const id = useId();
  const box = useRef();
  const known = new Map((options || []).map((each) => [each.value, each]));
  const words = (value) => known.get(value)?.words || value;
  const sought = search.trim().toLowerCase();
  const found = (options || []).filter((each) => `${each.value} ${each.words || ""}`.toLowerCase().includes(sought));
  // where the whole list is in sight its ticks say enough; what is gone from it must stay visible
  const chips = options && options.length <= SEARCHED ? chosen.filter((value) => !known.has(value)) : chosen;
  const flip = (value, on) => onChosen(on ? [...chosen, value] : chosen.filter((each) => each !== value));
  const drop = (value) => {
    flip(value, false);
    box.current?.querySelector("input")?.focus();
  };
  return html`<fieldset class="field picks" aria-describedby=${wrong ? `${id}-wrong` : undefined} aria-invalid=${wrong ? "true" : undefined} tabindex=${wrong ? "-1" : undefined}>
    <legend class="label">${label}</legend>
    ${chips.length > 0 &&
    html`<ul class="chips" aria-label=${`${label}: chosen`}>
      ${chips.map(
        (value) => html`<li key=${value} class=${options && !known.has(value) ? "chip gone" : "chip"}>
          <bdi>${words(value)}</bdi>${options && !known.has(value) && html`<small>not there any more</small>`}
          <button type="button" aria-label=${`Remove ${words(value)}`} onClick=${() => drop(value)}><${Icon} name="x" small /></button>
        </li>`,
      )}
    </ul>`}
    ${options?.length === 0
      ? empty
      : html`<div class="picker" ref=${box}>
          ${(options || []).length > SEARCHED &&
          html`<input type="search" aria-label=${`Search ${what}`} placeholder=${`Search ${count(options.length)} ${what}`} value=${search} onInput=${(event) => setSearch(event.target.value)} onKeyDown=${(event) => event.key === "Enter" && event.preventDefault()} />`}
          <ul class="options">
            ${found.slice(0, LISTED).map(
              ({ value, note }) => html`<li key=${value}>
                <label class="option"><input type="checkbox" checked=${chosen.includes(value)} onChange=${(event) => flip(value, event.target.checked)} /><span><${Name}>${words(value)}<//>${note && html`<small>${note}</small>`}</span></label>
              </li>`,
            )}
            ${found.length > LISTED && html`<li class="faint">${count(found.length - LISTED)} more: search for them.</li>`}
            ${options && !found.length && html`<li class="faint">Nothing matches “${search}”.</li>`}
            ${!options && html`<li class="faint">Loading …</li>`}
          </ul>
        </div>`}
    ${hint && html`<span class="hint">${hint}</span>`}
    ${wrong && html`<span class="wrong" id=${`${id}-wrong`}><${Icon} name="circle-alert" small />${wrong}</span>`}
  </fieldset>`;
}

/** One of few, each with a sentence of what it means. */
export function Radios({ label, value, onValue, options }) {
  const name = useId();
  return html`<fieldset class="radios">
    <legend class="label">${label}</legend>
    ${options.map(
      ([each, words, hint]) => html`<label class="choice" key=${each}>
        <input type="radio" name=${name} checked=${each === value} onChange=${() => onValue(each)} />
        <span>${words}${hint && html`<small>${hint}</small>`}</span>
      </label>`,
    )}
  </fieldset>`;
}

/** Takes a row away; the focus goes to the row's list, not to nowhere. */
export const Drop = ({ label, onClick }) =>
  html`<${Button}
    kind="small quiet"
    icon="trash-2"
    label=${label}
    onClick=${(event) => {
      const row = event.currentTarget.closest(".condition, .variant, .translation") || event.currentTarget.closest(".row-of");
      const home = row.parentElement.closest("fieldset, .rows, .stack");
      onClick();
      requestAnimationFrame(() => home?.querySelector("button, input, select, textarea, summary")?.focus());
    }}
  />`;
