// Zones: draw, edit, import, export; how many people a zone reaches and what is wrong with it.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { piece, post, put, remove } from "../api.js";
import { loadZones, zones, zonesError } from "../catalogue.js";
import { count } from "../format.js";
import { Board, hue } from "../map/board.js";
import { drawOn } from "../map/drawing.js";
import { bounds } from "../map/rings.js";
import { go, place } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Name, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { blank, featureOf, formOf, shapeWords, ZoneForm } from "./zone-form.js";
import { ZoneImport } from "./zone-import.js";

const TOOLS = [
  ["polygon", "pentagon", "Polygon"],
  ["circle", "circle", "Circle"],
  ["rectangle", "square", "Rectangle"],
  ["freehand", "lasso", "Freehand"],
];
const LISTED = 200;

export function Zones() {
  const [form, setForm] = useState(null);
  const [importing, setImporting] = useState(false);
  const [tool, setTool] = useState("");
  const drawing = useRef(null);
  const map = useRef(null);
  const current = useRef(null);
  current.current = form;
  useEffect(() => void (zones.value || loadZones()), []);

  const change = (changes) => setForm((before) => before && { ...before, ...changes });
  const open = (next) => {
    setForm(next);
    setTool("");
    drawing.current?.clear();
  };
  const onReady = (ready) => {
    map.current = ready;
    const pen = drawOn(
      ready,
      (shape) => {
        setTool("");
        setForm((before) => ({ ...(before || blank()), ...(shape || { geometry: null, radius: null }) }));
      },
      complain,
    );
    drawing.current = pen;
    if (current.current?.geometry) pen.show(current.current);
    return () => {
      pen.stop();
      drawing.current = null;
    };
  };
  const choose = (id) => {
    const zone = (zones.value || []).find((each) => each.id === id);
    if (!zone) return;
    open(formOf(zone));
    const box = bounds([zone]);
    map.current?.fitBounds(box, { padding: 80, maxZoom: 16.5, animate: false });
  };
  useEffect(() => {
    const [id] = place.value.rest;
    if (id && zones.value && form?.id !== id) choose(id);
  }, [place.value, zones.value]);
  const draw = (name) => {
    if (!form) open(blank());
    setTool(name);
    drawing.current?.begin(name);
  };
  const shown = useMemo(
    () => (zones.value || []).filter((zone) => zone.id !== form?.id || !form.geometry),
    [zones.value, form?.id, Boolean(form?.geometry)],
  );
  useEffect(() => {
    // a circle that was typed, or a zone that was opened, is drawn where it can be moved
    if (form?.geometry && !tool) drawing.current?.show(form);
  }, [form?.id, form?.isNew, JSON.stringify(form?.geometry), form?.radius]);

  return html`<div class="map-page">
    <h1 class="unseen">Zones</h1>
    <div class="ground">
      <${Board} label="Map of zones" zones=${shown} onChoose=${form ? undefined : (id) => go("zones", id)} onReady=${onReady} />
      ${may("zones:write") &&
      html`<div class="tools" role="toolbar" aria-label="Draw a zone">
        ${TOOLS.map(
          ([name, icon, words]) =>
            html`<${Button} key=${name} icon=${icon} aria-pressed=${tool === name} title=${words} onClick=${() => draw(name)}><span class="words">${words}</span><//>`,
        )}
      </div>`}
      ${tool && html`<p class="guide" role="status">${GUIDES[tool]}</p>`}
    </div>
    <aside class="side" aria-label=${form ? "Zone" : "List of zones"}>
      ${form
        ? html`<${Editor}
            key=${form.isNew ? "" : form.id}
            form=${form}
            change=${change}
            onTool=${(name) => {
              setTool(name);
              if (name === "hole") drawing.current?.cut();
              else drawing.current?.part();
            }}
            onClose=${() => {
              open(null);
              go("zones");
            }}
          />`
        : html`<${List} onNew=${() => open(blank())} onImport=${() => setImporting(true)} />`}
    </aside>
    ${importing && html`<${ZoneImport} onClose=${() => setImporting(false)} />`}
  </div>`;
}

const GUIDES = {
  polygon: "Click the corners one after the other; click the first one again to finish. Escape ends it.",
  circle: "Click the centre, then the rim.",
  rectangle: "Click one corner, then the opposite one.",
  freehand: "Click, move along the outline, click again to finish.",
  hole: "Click the corners of the hole; click the first one again to finish.",
  part: "Click the corners of the other part; click the first one again to finish.",
};

function List({ onNew, onImport }) {
  const [search, setSearch] = useState("");
  const words = search.trim().toLowerCase();
  const found = (zones.value || []).filter((zone) =>
    `${zone.id} ${zone.properties.name || ""} ${(zone.properties.tags || []).join(" ")}`.toLowerCase().includes(words),
  );
  return html`<section class="stack">
      <header class="row">
        <h2>${zones.value ? `${count(zones.value.length)} zones` : "Zones"}</h2>
        <span class="row push">
          ${may("zones:write") &&
          html`<${Button} kind="small" icon="upload" onClick=${onImport}>Import<//>
            <${Button} kind="small main" icon="plus" onClick=${onNew}>New<//>`}
        </span>
      </header>
      <input type="search" aria-label="Search zones by name, id or tag" placeholder="Name, id or tag" value=${search} onInput=${(event) => setSearch(event.target.value)} />
      <${Trouble} error=${zonesError.value} again=${loadZones} />
    </section>
    <section>
      ${zones.value === undefined && !zonesError.value && html`<${Waiting} what="Loading zones" />`}
      ${zones.value?.length === 0 &&
      html`<${Empty} icon="layers" title="No zones yet">
        <p>Draw one on the map, type a circle, or import a GeoJSON file.</p>
        ${may("zones:write") && html`<${Button} kind="main" icon="plus" onClick=${onNew}>New zone<//>`}
      <//>`}
      ${zones.value?.length > 0 && !found.length && html`<p class="faint">No zone matches “${search}”.</p>`}
      <ul class="choices">
        ${found.slice(0, LISTED).map((zone) => html`<${Row} key=${zone.id} zone=${zone} />`)}
      </ul>
      ${found.length > LISTED && html`<p class="faint">${count(found.length - LISTED)} more: search for them.</p>`}
      ${zones.value?.length > 0 && html`<p class="foot"><${Button} kind="small" icon="download" onClick=${download}>Export all<//></p>`}
    </section>`;
}

function Row({ zone }) {
  const { properties } = zone;
  return html`<li>
    <button type="button" class="pick" onClick=${() => go("zones", zone.id)}>
      <svg class="swatch" viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" rx="4" fill=${hue(zone.id)} /></svg>
      <span>
        <${Name}>${properties.name || zone.id}<//>
        <small>${shapeWords(zone.geometry, properties.radius_m)}</small>
      </span>
      ${properties.sensitive && html`<${Tag} kind="warn" icon="shield">Sensitive<//>`}
      ${properties.active === false && html`<${Tag}>Off<//>`}
      <${Icon} name="chevron-right" />
    </button>
  </li>`;
}

function Editor({ form, change, onTool, onClose }) {
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const heading = useRef();
  useEffect(() => heading.current.focus(), []);
  const writes = may("zones:write");
  const save = async (event) => {
    event?.preventDefault();
    setError(null);
    setWrong({});
    let feature;
    try {
      feature = featureOf(form);
    } catch (found) {
      setWrong(found);
      return;
    }
    setBusy(true);
    try {
      if (form.isNew && (zones.value || []).some((each) => each.id === feature.id)) {
        setWrong({ name: `There is a zone with the id “${feature.id}” already: give this one another id.` });
        return;
      }
      await put(`/v1/zones/${piece(feature.id)}`, feature, { type: "application/geo+json" });
      await loadZones();
      say(`${feature.properties.name || feature.id} was saved.`);
      onClose();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const erase = async () => {
    const before = zones.value.find((each) => each.id === form.id);
    try {
      await remove(`/v1/zones/${piece(form.id)}`);
      await loadZones();
      onClose();
      say(`${form.name || form.id} was deleted.`, { undo: () => restore(before) });
    } catch (refused) {
      setError(refused);
    }
  };
  const tools = form.geometry && form.geometry.type !== "Point"
    ? html`<${Button} kind="small" icon="square-dashed" onClick=${() => onTool("hole")}>Cut a hole<//>
        <${Button} kind="small" icon="plus" onClick=${() => onTool("part")}>Add a part<//>`
    : html`<span class="hint">${form.geometry ? "Drag it on the map, or type it below." : "Choose a tool on the map."}</span>`;
  return html`<section class="stack">
      <header class="row">
        <${Button} kind="small quiet" icon="chevron-left" label="Back to the list" onClick=${onClose} />
        <h2 tabindex="-1" ref=${heading}>${form.isNew ? "New zone" : html`<${Name}>${form.name || form.id}<//>`}</h2>
      </header>
      <form class="stack" onSubmit=${save} novalidate>
        <fieldset disabled=${!writes}><${ZoneForm} form=${form} wrong=${wrong} change=${change} tools=${tools} /></fieldset>
        <${Trouble} error=${error} />
        ${writes &&
        html`<div class="row">
          <${Button} type="submit" kind="main" icon="save" busy=${busy}>Save<//>
          <${Button} onClick=${onClose}>Cancel<//>
          ${!form.isNew && html`<span class="push"><${Button} kind="danger" icon="trash-2" onClick=${erase}>Delete<//></span>`}
        </div>`}
      </form>
    </section>
    ${form.geometry && html`<${Reach} form=${form} />`}`;
}

async function restore(zone) {
  const { type, id, geometry, properties } = zone;
  try {
    await put(`/v1/zones/${piece(id)}`, { type, id, geometry, properties }, { type: "application/geo+json" });
    await loadZones();
  } catch (error) {
    complain(error);
  }
}

/** How many devices were here, and what is wrong with the zone as it is drawn now. */
function Reach({ form }) {
  const place = {
    type: "Feature",
    id: form.id || "drawn",
    geometry: form.geometry,
    properties: { entry: form.entry, ...(form.geometry.type === "Point" ? { radius_m: form.radius } : {}) },
  };
  const how = { type: "application/geo+json" };
  const key = JSON.stringify(place);
  const reach = useAnswer((signal) => post("/v1/zones:reach", place, { ...how, signal }), [key]);
  const lint = useAnswer((signal) => post("/v1/zones:lint", place, { ...how, signal }), [key]);
  return html`<section class="stack" aria-live="polite">
    <h2>What to expect</h2>
    ${(reach.waiting || lint.waiting) && !reach.value && html`<${Waiting} what="Looking at what was seen here" />`}
    ${reach.value && html`<p>${reach.value.sentence}</p>`}
    ${lint.value && html`<p>${lint.value.sentence}</p>`}
    ${lint.value?.findings.map(
      (found) =>
        html`<p class=${`notice ${found.severity === "hint" ? "" : "warn"}`} key=${found.code + found.text}>
          <${Icon} name=${found.severity === "hint" ? "info" : "triangle-alert"} />${found.text}
        </p>`,
    )}
    <${Trouble} error=${reach.error || lint.error} />
  </section>`;
}

async function download() {
  const file = new Blob(
    [JSON.stringify({ type: "FeatureCollection", features: zones.value.map(({ revision, ...zone }) => zone) }, null, 1)],
    { type: "application/geo+json" },
  );
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: "zones.geojson" });
  link.click();
  URL.revokeObjectURL(link.href);
}
