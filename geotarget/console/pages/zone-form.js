// The properties of one zone: what it is called, when it holds, how sure an entry must be. Its shape
// can be made and changed here without any map.

import { html } from "../vendor/preact.js";
import { unrolled } from "../map/seam.js";
import { Area, Check, Field, Select, Text } from "../parts/parts.js";
import { Circle, Rings, ShapeText, shapeWords } from "./zone-shape.js";

const POLICIES = [
  ["raw", "Raw: every fix counts as it comes"],
  ["eager", "Eager: early, may be wrong at the border"],
  ["standard", "Standard"],
  ["strict", "Strict: two good fixes"],
  ["certain", "Certain: only what is beyond doubt"],
];
const KNOWN = new Set([
  "name", "tags", "priority", "entry", "pending", "exit_buffer_m", "active", "sensitive", "radius_m",
  "starts", "ends", "time_zone",
]);

/** A new zone's form. */
export const blank = () => ({
  id: "", isNew: true, geometry: null, radius: null, name: "", tags: "", priority: "0", entry: "standard",
  active: true, sensitive: false, starts: "", ends: "", timeZone: "", more: "{}", kept: {},
});

/** The form of a zone that is stored. */
export function formOf(zone) {
  const { properties, geometry } = zone;
  const more = Object.fromEntries(Object.entries(properties).filter(([name]) => !KNOWN.has(name)));
  const kept = Object.fromEntries(["pending", "exit_buffer_m"].filter((name) => name in properties).map((name) => [name, properties[name]]));
  return {
    id: zone.id,
    isNew: false,
    geometry: unrolled(geometry),
    radius: properties.radius_m ?? null,
    name: properties.name || "",
    tags: (properties.tags || []).join(", "),
    priority: String(properties.priority ?? 0),
    entry: properties.entry || "standard",
    active: properties.active !== false,
    sensitive: Boolean(properties.sensitive),
    starts: properties.starts || "",
    ends: properties.ends || "",
    timeZone: properties.time_zone || "",
    more: JSON.stringify(more, null, 2),
    kept,
  };
}

/** An id from a name: what people can read in addresses and logs. */
export function idOf(name) {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 64);
}

/**
 * The Feature that a form describes.
 *
 * @throws {Object} What is wrong, by field.
 */
export function featureOf(form) {
  const wrong = {};
  let more = {};
  try {
    more = JSON.parse(form.more || "{}");
    if (more === null || Array.isArray(more) || typeof more !== "object") throw new Error();
  } catch {
    wrong.more = 'This must be a JSON object, such as {"special": "cinnamon bun"}.';
  }
  if (!form.geometry) wrong.shape = "The zone has no shape yet: draw it, or type a circle.";
  if (!/^-?\d+$/.test(form.priority.trim())) wrong.priority = "This must be a whole number.";
  if (form.starts && form.ends && !(new Date(form.starts) < new Date(form.ends))) wrong.ends = "This must be later than the beginning.";
  const id = form.isNew ? form.id.trim() || idOf(form.name) : form.id;
  if (!id) wrong.name = "The zone needs a name.";
  if (Object.keys(wrong).length) throw wrong;
  const given = {
    name: form.name.trim(),
    tags: form.tags.split(",").map((each) => each.trim()).filter(Boolean),
    priority: Number(form.priority),
    entry: form.entry,
    active: form.active,
    sensitive: form.sensitive,
  };
  for (const [name, value] of [["starts", form.starts], ["ends", form.ends], ["time_zone", form.timeZone]]) {
    if (value.trim()) given[name] = value.trim();
  }
  if (form.geometry.type === "Point") given.radius_m = form.radius;
  return { type: "Feature", id, geometry: form.geometry, properties: { ...more, ...form.kept, ...given } };
}

/** An instant as a field of the browser takes it, on its own clock. */
function local(text) {
  const moment = new Date(text);
  if (!text || Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const instantOf = (value) => (value ? new Date(value).toISOString().replace(".000Z", "Z") : "");
const clock = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A date and time; told to the server in UTC. */
const Moment = ({ value, onValue, ...rest }) =>
  html`<${Text} type="datetime-local" max="9999-12-31T23:59" value=${local(value)} onValue=${(given) => onValue(instantOf(given))} ...${rest} />`;

/** The form; `tools` is what changes the shape on the map, `onRing` shows the corners of one ring. */
export function ZoneForm({ form, wrong, change, tools, onRing }) {
  const set = (name) => (value) => change({ [name]: value });
  const isPolygon = form.geometry && form.geometry.type !== "Point";
  const shape = JSON.stringify([form.geometry, form.radius]);
  return html`<div class="stack">
    <${Text} label="Name" required wrong=${wrong.name} value=${form.name} onValue=${set("name")} />
    ${form.isNew &&
    html`<${Text}
      label="Id"
      hint="In the API and in logs; it can't be changed later."
      placeholder=${idOf(form.name) || "from the name"}
      wrong=${wrong.id}
      value=${form.id}
      onValue=${set("id")}
    />`}
    <${Field} label="Shape" hint=${shapeWords(form.geometry, form.radius)} wrong=${wrong.shape}>
      ${(wiring) => html`<div class="row" role="group" tabindex="-1" data-shape aria-label="Shape" ...${wiring}>${tools}</div>`}
    <//>
    ${isPolygon && html`<${Rings} geometry=${form.geometry} change=${change} onRing=${onRing} />`}
    <details open=${form.isNew && !form.geometry}>
      <summary>Circle by coordinates</summary>
      <${Circle} form=${form} change=${change} key=${form.geometry?.type === "Point" ? shape : "none"} />
    </details>
    <details>
      <summary>Corners by coordinates</summary>
      <${ShapeText} geometry=${form.geometry} change=${change} key=${isPolygon ? shape : "none"} />
    </details>
    <${Text} label="Tags" hint="Separated by commas. Campaigns can choose zones by tag." value=${form.tags} onValue=${set("tags")} />
    <${Select} label="How sure must an entry be?" options=${POLICIES} value=${form.entry} onValue=${set("entry")} />
    <${Check} label="Active" hint="Pings are tested against it." value=${form.active} onValue=${set("active")} />
    <${Check} label="Sensitive" hint="A clinic, a church, a school: no campaign ever speaks here." value=${form.sensitive} onValue=${set("sensitive")} />
    <details open=${Boolean(form.starts || form.ends || wrong.ends || wrong.priority || wrong.more)}>
      <summary>Priority, dates and more</summary>
      <div class="stack">
        <${Text} label="Priority" hint="Of several zones at once the highest speaks first." inputmode="numeric" wrong=${wrong.priority} value=${form.priority} onValue=${set("priority")} />
        <div class="fields">
          <${Moment} label="Valid from" value=${form.starts} onValue=${set("starts")} />
          <${Moment} label="Valid until" wrong=${wrong.ends} value=${form.ends} onValue=${set("ends")} />
        </div>
        <p class="hint">On your clock, ${clock}. Empty: from now on, for good.</p>
        <${Text} label="Time zone" hint="Whose hours campaigns go by here." placeholder="from its place" value=${form.timeZone} onValue=${set("timeZone")} />
        <${Area} label="Other properties" hint="JSON. Offers can show them." code wrong=${wrong.more} value=${form.more} onValue=${set("more")} />
      </div>
    </details>
  </div>`;
}
