// The shape of a zone without a mouse: its parts and holes as a list, a circle by typing, corners as
// GeoJSON.

import { html, useRef, useState } from "../vendor/preact.js";
import { count, metres, surface } from "../format.js";
import { area, polygons } from "../map/plane.js";
import { without } from "../map/rings.js";
import { wrapped } from "../map/seam.js";
import { Area, Button, Icon, Text } from "../parts/parts.js";
import { placeOf } from "./zone-lines.js";

const LONGEST = 100_000; // characters of a shape that can still be edited as text

/** What a shape is, in words. */
export function shapeWords(geometry, radius) {
  if (!geometry) return "No shape yet";
  if (geometry.type === "Point") return `Circle, ${metres(radius)} around its centre`;
  const parts = polygons(geometry);
  const corners = parts.flat().reduce((sum, ring) => sum + ring.length - 1, 0);
  const holes = parts.reduce((sum, rings) => sum + rings.length - 1, 0);
  const words = [
    parts.length > 1 ? `${parts.length} parts` : "Polygon",
    `${count(corners)} corners`,
    surface(area(geometry)),
  ];
  if (holes) words.splice(1, 0, holes === 1 ? "1 hole" : `${holes} holes`);
  return words.join(", ");
}

/** Centre and radius, typed in. */
export function Circle({ form, change }) {
  const is = form.geometry?.type === "Point";
  const [lng, lat] = is ? [wrapped(form.geometry.coordinates[0]), form.geometry.coordinates[1]] : ["", ""];
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

/** The rings of a polygon: each can be shown with its corners, and removed. */
export function Rings({ geometry, change, onRing }) {
  const list = useRef();
  const parts = polygons(geometry);
  const remove = (part, ring) => {
    change({ geometry: without(geometry, part, ring), radius: null });
    list.current.closest("form").querySelector("[data-shape]").focus();
  };
  return html`<ul class="rings" ref=${list}>
    ${parts.flatMap((rings, part) =>
      rings.map((ring, at) => {
        const name = at ? `Hole ${at}` : `Part ${part + 1}`;
        const of = at && parts.length > 1 ? ` of part ${part + 1}` : "";
        return html`<li key=${`${part} ${at}`} class=${at ? "hole" : ""}>
          <button type="button" class="pick" onClick=${() => onRing(part, at)} aria-label=${`Show the corners of ${name.toLowerCase()}${of}`}>
            <svg class="swatch" viewBox="0 0 12 12" aria-hidden="true">
              <rect x="1" y="1" width="10" height="10" rx="3" />
              ${at > 0 && html`<path d="M2 8 8 2M4 10l6-6" />`}
            </svg>
            <span>${name}${of && html`<small>${of}</small>`}</span>
            <small>${count(ring.length - 1)} corners, ${surface(area({ type: "Polygon", coordinates: [ring] }))}</small>
          </button>
          <${Button} kind="small quiet" icon="trash-2" label=${`Remove ${name.toLowerCase()}${of}`} onClick=${() => remove(part, at)} />
        </li>`;
      }),
    )}
  </ul>`;
}

/** One line a corner: what an editor of text can handle, and a screen reader read. */
const written = (geometry) =>
  JSON.stringify(geometry, null, 1).replace(/\[\s+(-?[\d.e+-]+),\s+(-?[\d.e+-]+)\s+\]/g, "[$1, $2]");

const isPosition = (value) =>
  Array.isArray(value) && Math.abs(value[0]) <= 360 && Math.abs(value[1]) <= 90;

/** What is wrong with a geometry, or "". The server judges the rest. */
function wrongShape(geometry) {
  if (geometry?.type !== "Polygon" && geometry?.type !== "MultiPolygon") return "The type must be Polygon or MultiPolygon.";
  const parts = polygons(geometry);
  if (!Array.isArray(parts) || !parts.length) return "There are no coordinates.";
  for (const [part, rings] of parts.entries()) {
    const place = parts.length > 1 ? `Part ${part + 1}` : "The polygon";
    if (!Array.isArray(rings) || !rings.length) return `${place} has no rings.`;
    for (const [at, ring] of rings.entries()) {
      const which = `${place}, ${at ? `hole ${at}` : "outline"}`;
      const wrong = Array.isArray(ring) ? ring.findIndex((each) => !isPosition(each)) : 0;
      if (wrong >= 0) return `${which}, corner ${wrong + 1}: a corner is [longitude, latitude] in degrees.`;
      if (ring.length < 4) return `${which}: a ring has at least 3 corners, and the first one again.`;
      if (String(ring[0]) !== String(ring.at(-1))) return `${which}: the last corner must be the first one again.`;
    }
  }
  return "";
}

/** Corners as GeoJSON. */
export function ShapeText({ geometry, change }) {
  const now = geometry && geometry.type !== "Point" ? written(geometry) : "";
  const [text, setText] = useState(now);
  const [wrong, setWrong] = useState("");
  if (now.length > LONGEST) return html`<p class="hint">This shape is too large to be edited as text: export it, and import it again.</p>`;
  const take = () => {
    let given;
    try {
      given = JSON.parse(text);
    } catch {
      setWrong(`${placeOf(text)}: this is not JSON.`);
      return;
    }
    const shape = given?.type === "Feature" ? given.geometry : given;
    const found = wrongShape(shape);
    setWrong(found);
    if (!found) change({ geometry: { type: shape.type, coordinates: shape.coordinates }, radius: null });
  };
  return html`<div class="stack">
    <${Area} label="Geometry" code rows="8" spellcheck="false" hint="A Polygon or MultiPolygon; longitude before latitude. The first ring is the outline, further ones are holes." wrong=${wrong} value=${text} onValue=${setText} placeholder='{"type": "Polygon", "coordinates": [[[24.94, 60.17], …]]}' />
    <div><${Button} kind="small" icon="pentagon" onClick=${take}>Take this shape<//></div>
  </div>`;
}
