// The properties of one zone: what it is called, when it holds, how sure an entry must be.
// A circle can be made here by typing, without any map.

import { html, useState } from "../vendor/preact.js";
import { count, metres } from "../format.js";
import { area } from "../map/rings.js";
import { Area, Button, Check, Field, Icon, Select, Text } from "../parts/parts.js";

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
    geometry,
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

/** What a shape is, in words. */
export function shapeWords(geometry, radius) {
  if (!geometry) return "No shape yet";
  if (geometry.type === "Point") return `Circle, ${metres(radius)} around its centre`;
  const parts = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  const corners = parts.flat().reduce((sum, ring) => sum + ring.length - 1, 0);
  const holes = parts.reduce((sum, rings) => sum + rings.length - 1, 0);
  const size = area(geometry);
  const words = [
    parts.length > 1 ? `${parts.length} parts` : "Polygon",
    `${count(corners)} corners`,
    size < 1e5 ? `${count(size)} m²` : `${(size / 1e6).toFixed(2)} km²`,
  ];
  if (holes) words.splice(1, 0, holes === 1 ? "1 hole" : `${holes} holes`);
  return words.join(", ");
}

/** Centre and radius, typed in. */
function Circle({ form, change }) {
  const is = form.geometry?.type === "Point";
  const [lng, lat] = is ? form.geometry.coordinates : ["", ""];
  const [typed, setTyped] = useState({ lat: String(lat), lng: String(lng), radius: is ? String(form.radius) : "100" });
  const [wrong, setWrong] = useState("");
  const take = () => {
    const [y, x, r] = [typed.lat, typed.lng, typed.radius].map((each) => Number(each.trim().replace(",", ".")));
    if (typed.lat.trim() === "" || !(Math.abs(y) <= 90)) return setWrong("The latitude goes from -90 to 90.");
    if (typed.lng.trim() === "" || !(Math.abs(x) <= 180)) return setWrong("The longitude goes from -180 to 180.");
    if (!(r > 0)) return setWrong("The radius must be more than 0 metres.");
    setWrong("");
    return change({ geometry: { type: "Point", coordinates: [x, y] }, radius: r });
  };
  const set = (name) => (value) => setTyped({ ...typed, [name]: value });
  return html`<fieldset class="stack">
    <div class="fields narrow">
      <${Text} label="Latitude" inputmode="decimal" placeholder="60.1712" value=${typed.lat} onValue=${set("lat")} />
      <${Text} label="Longitude" inputmode="decimal" placeholder="24.9435" value=${typed.lng} onValue=${set("lng")} />
      <${Text} label="Radius, m" inputmode="decimal" value=${typed.radius} onValue=${set("radius")} />
    </div>
    ${wrong && html`<p class="wrong" role="alert"><${Icon} name="circle-alert" small /> ${wrong}</p>`}
    <div><${Button} kind="small" icon="circle" onClick=${take}>${is ? "Change the circle" : "Make the circle"}<//></div>
  </fieldset>`;
}

/** The form; `tools` is what changes the shape on the map. */
export function ZoneForm({ form, wrong, change, tools }) {
  const set = (name) => (value) => change({ [name]: value });
  return html`<div class="stack">
    <${Text} label="Name" required wrong=${wrong.name} value=${form.name} onValue=${set("name")} />
    ${form.isNew &&
    html`<${Text}
      label="Id"
      hint="In the API and in logs; it can't be changed later."
      placeholder=${idOf(form.name) || "from the name"}
      value=${form.id}
      onValue=${set("id")}
    />`}
    <${Field} label="Shape" hint=${shapeWords(form.geometry, form.radius)} wrong=${wrong.shape}>
      ${(wiring) => html`<div class="row" role="group" tabindex="-1" aria-label="Shape" ...${wiring}>${tools}</div>`}
    <//>
    <details open=${form.isNew && !form.geometry}>
      <summary>Circle by coordinates</summary>
      <${Circle} form=${form} change=${change} key=${form.geometry?.type === "Point" ? form.geometry.coordinates.join() + form.radius : "none"} />
    </details>
    <${Text} label="Tags" hint="Separated by commas. Campaigns can choose zones by tag." value=${form.tags} onValue=${set("tags")} />
    <${Select} label="How sure must an entry be?" options=${POLICIES} value=${form.entry} onValue=${set("entry")} />
    <${Check} label="Active" hint="Pings are tested against it." value=${form.active} onValue=${set("active")} />
    <${Check} label="Sensitive" hint="A clinic, a church, a school: no campaign ever speaks here." value=${form.sensitive} onValue=${set("sensitive")} />
    <details>
      <summary>Priority, dates and more</summary>
      <div class="stack">
        <${Text} label="Priority" hint="Of several zones at once the highest speaks first." inputmode="numeric" wrong=${wrong.priority} value=${form.priority} onValue=${set("priority")} />
        <div class="fields narrow">
          <${Text} label="From" placeholder="2026-06-01T00:00:00Z" value=${form.starts} onValue=${set("starts")} />
          <${Text} label="Until" placeholder="2026-09-01T00:00:00Z" value=${form.ends} onValue=${set("ends")} />
        </div>
        <${Text} label="Time zone" placeholder="from its place" value=${form.timeZone} onValue=${set("timeZone")} />
        <${Area} label="Other properties" hint="JSON. Offers can show them." code wrong=${wrong.more} value=${form.more} onValue=${set("more")} />
      </div>
    </details>
  </div>`;
}
