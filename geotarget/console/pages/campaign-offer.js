// What is offered: fields with templates, in several languages, in several variants.

import { html, useRef } from "../vendor/preact.js";
import { count, many, share } from "../format.js";
import { Area, Button, Check, Field, Icon, Text } from "../parts/parts.js";
import { say } from "../parts/toasts.js";
import { blankField, blankOffer, blankTranslation, fresh, member } from "./campaign-draft.js";
import { Drop, Radios, Section, WrongLine } from "./campaign-parts.js";

const MOST = 20;
const INSERTS = [
  ["{{ profile.first_name | default: 'neighbour' }}", "First name, or a word instead"],
  ["{{ profile.tier }}", "An attribute of the person"],
  ["{{ zone.name }}", "Name of the zone"],
  ["{{ zone.properties.special }}", "A property of the zone"],
  ["{{ behaviour.visits_here_30d | plus: 1 }}", "Number of this visit in 30 days"],
  ["{{ behaviour.days_since_here }}", "Days since the last visit here"],
  ["{{ now | date: '%H:%M' }}", "Time of day there"],
  ["{% if profile.tier == 'gold' %}…{% else %}…{% endif %}", "One text or another"],
];

const replaced = (rows, key, changes) => rows.map((each) => (each.key === key ? { ...each, ...changes } : each));
const without = (rows, key) => rows.filter((each) => each.key !== key);

export function Offer({ form, change, wrong, arms = {} }) {
  const { offers, split } = form;
  const edit = (key, changes) => change({ offers: replaced(offers, key, changes) });
  const add = (like) => {
    const taken = new Set(offers.map(({ id }) => id));
    const named = split ? offers : [{ ...offers[0], id: offers[0].id || "a" }];
    for (const { id } of named) taken.add(id);
    const id = [..."abcdefghijklmnopqrstuvwxyz"].find((each) => !taken.has(each)) || fresh();
    const made = like ? { ...structuredClone(like), key: fresh(), id } : blankOffer(id);
    change({ split: true, offers: [...named, made] });
    requestAnimationFrame(() => [...document.querySelectorAll(".variant")].at(-1)?.querySelector("input")?.focus());
  };
  const drop = (gone) => {
    const rest = without(offers, gone.key);
    change({ offers: rest, split: rest.length > 1 });
    say(`The variant ${gone.id} was taken away.`, { undo: () => change({ offers, split }) });
  };
  const weights = offers.reduce((sum, { weight }) => sum + (Number(weight.replace(",", ".")) || 0), 0);
  return html`<${Section} title="Offer" told=${split ? many(offers.length, "variant") : offers[0].fields.find(({ value }) => value.trim())?.value || "Nothing yet"}>
    <p class="faint">Texts are templates: what stands in <code>${"{{ … }}"}</code> is filled in for each person and place.</p>
    <${WrongLine} words=${wrong.exactly("$.offer") || wrong.exactly("$.translations") || wrong.exactly("$.variants")} />
    ${split
      ? html`<${Radios}
            label="Who gets which"
            value=${form.allocation}
            onValue=${(allocation) => change({ allocation })}
            options=${[
              ["weights", "By weight", "Everybody keeps their variant. For a fair comparison."],
              ["thompson", "By what converts", "More and more people get the variant that sells best."],
            ]}
          />
          ${offers.map(
            (each, at) => html`<${Variant}
              key=${each.key}
              variant=${each}
              part=${weights ? (Number(each.weight.replace(",", ".")) || 0) / weights : null}
              thompson=${form.allocation === "thompson"}
              arm=${arms[each.id]}
              currency=${form.currency}
              path=${`$.variants[${at}]`}
              wrong=${wrong}
              edit=${(changes) => edit(each.key, changes)}
              onCopy=${() => add(each)}
              onDrop=${offers.length > 1 && (() => drop(each))}
            />`,
          )}`
      : html`<${Words} offer=${offers[0]} path="$" wrong=${wrong} edit=${(changes) => edit(offers[0].key, changes)} />`}
    ${offers.length < MOST &&
    html`<div class="row">
      <${Button} kind="small" icon="plus" onClick=${() => add()}>${split ? "Add a variant" : "Try a second variant against it"}<//>
    </div>`}
  <//>`;
}

function Variant({ variant, part, thompson, arm, currency, path, wrong, edit, onCopy, onDrop }) {
  return html`<fieldset class="variant stack">
    <legend class="unseen">Variant ${variant.id}</legend>
    <div class="row-of">
      <${Text} label="Variant" wrong=${wrong.at(`${path}.id`)} value=${variant.id} onValue=${(id) => edit({ id })} />
      <${Text} label="Weight" hint=${!thompson && part !== null ? `${share(part, 0)} of the people` : undefined} inputmode="decimal" wrong=${wrong.at(`${path}.weight`)} value=${variant.weight} onValue=${(weight) => edit({ weight })} />
      <${Text} label=${`Cost each, ${currency}`} placeholder="as all" inputmode="decimal" wrong=${wrong.at(`${path}.cost_per_offer`)} value=${variant.cost} onValue=${(cost) => edit({ cost })} />
      <div class="row low">
        <${Button} kind="small quiet" icon="copy" label=${`Copy the variant ${variant.id}`} onClick=${onCopy} />
        ${onDrop && html`<${Drop} label=${`Remove the variant ${variant.id}`} onClick=${onDrop} />`}
      </div>
    </div>
    ${arm && html`<p class="hint">Sent ${count(arm.sent)} times so far, ${count(arm.converted)} converted. ${thompson ? `Expected to get ${share(arm.share, 0)} of the next offers.` : ""}</p>`}
    <${WrongLine} words=${wrong.exactly(path) || wrong.exactly(`${path}.offer`) || wrong.exactly(`${path}.translations`)} />
    <${Words} offer=${variant} path=${path} wrong=${wrong} edit=${edit} />
  </fieldset>`;
}

/** The fields of one offer and its translations. */
function Words({ offer, path, wrong, edit }) {
  const { fields, translations } = offer;
  const at = path === "$" ? "$.offer" : `${path}.offer`;
  const others = path === "$" ? "$.translations" : `${path}.translations`;
  const translate = (key, changes) => edit({ translations: replaced(translations, key, changes) });
  return html`<${Fields} fields=${fields} path=${at} wrong=${wrong} onFields=${(next) => edit({ fields: next })} />
    ${translations.map(
      ({ key, tag, fields: theirs }) => html`<details class="translation" key=${key} open=${!tag}>
        <summary><${Icon} name="languages" small /> ${languageName(tag) || "Another language"}</summary>
        <div class="stack">
          <div class="row-of">
            <${Text} label="Language" hint="Such as sv or pt-BR. The person's attribute “language” decides." maxlength="35" wrong=${wrong.exactly(member(others, tag.trim()))} value=${tag} onValue=${(value) => translate(key, { tag: value })} />
            <${Drop} label=${`Remove the translation ${tag}`} onClick=${() => edit({ translations: without(translations, key) })} />
          </div>
          <${Fields} fields=${theirs} path=${member(others, tag.trim())} wrong=${wrong} onFields=${(next) => translate(key, { fields: next })} />
        </div>
      </details>`,
    )}
    <div><${Button} kind="small" icon="languages" onClick=${() => edit({ translations: [...translations, blankTranslation()] })}>Add a language<//></div>`;
}

function languageName(tag) {
  try {
    return tag.trim() && new Intl.DisplayNames("en", { type: "language" }).of(tag.trim());
  } catch {
    return tag;
  }
}

function Fields({ fields, path, wrong, onFields }) {
  const typing = useRef(null); // the template that was written in last, and where
  const box = useRef();
  const set = (key, changes) => onFields(replaced(fields, key, changes));
  const remember = (key) => (event) => {
    typing.current = { key, at: event.target.selectionStart ?? event.target.value.length };
  };
  const insert = (snippet) => {
    const { key, at } = typing.current || { key: fields[1].key, at: fields[1].value.length };
    const field = fields.find((each) => each.key === key) || fields[1];
    const value = field.value.slice(0, at) + snippet + field.value.slice(at);
    set(field.key, { value });
    typing.current = { key: field.key, at: at + snippet.length };
    requestAnimationFrame(() => {
      const element = box.current?.querySelector(`[data-key="${field.key}"]`);
      element?.focus();
      element?.setSelectionRange(at + snippet.length, at + snippet.length);
    });
  };
  const [title, text, ...rest] = fields;
  const shared = (field) => ({
    "data-key": field.key,
    dir: "auto",
    wrong: wrong.at(member(path, field.name.trim())),
    value: field.value,
    onValue: (value) => set(field.key, { value }),
    onFocus: remember(field.key),
    onBlur: remember(field.key),
  });
  return html`<div class="rows offer-fields" ref=${box}>
    <${Text} label="Title" ...${shared(title)} />
    <${Area} label="Text" rows="3" ...${shared(text)} />
    ${rest.map(
      (field) => html`<div class="row-of field-row" key=${field.key}>
        <${Text} label="Field" placeholder="link" value=${field.name} onValue=${(name) => set(field.key, { name })} />
        <${Area} label=${field.json ? "Value (JSON)" : "Value"} rows="1" code=${field.json} ...${shared(field)} />
        <${Drop} label=${`Remove the field ${field.name}`} onClick=${() => onFields(without(fields, field.key))} />
        <div class="wide"><${Check} label="A number, a list or other JSON" value=${field.json} onValue=${(json) => set(field.key, { json })} /></div>
      </div>`,
    )}
    <div class="row inserts">
      <${Button} kind="small" icon="plus" onClick=${() => onFields([...fields, blankField()])}>Add a field<//>
      <${Field} label="Insert">
        ${(wiring) => html`<select
          ...${wiring}
          onChange=${(event) => {
            const snippet = event.target.value;
            event.target.value = "";
            if (snippet) insert(snippet);
          }}
        >
          <option value="">Choose …</option>
          ${INSERTS.map(([snippet, words]) => html`<option key=${snippet} value=${snippet}>${words}</option>`)}
        </select>`}
      <//>
    </div>
  </div>`;
}
