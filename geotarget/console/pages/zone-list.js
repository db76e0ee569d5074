// All zones by name: searched, opened, taken along as a file.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { loadZones, wholeZones, zones, zonesError } from "../catalogue.js";
import { count, many, metres, surface } from "../format.js";
import { hue } from "../map/board.js";
import { go } from "../router.js";
import { may } from "../session.js";
import { Button, Empty, Icon, Name, Tag, Trouble, Waiting } from "../parts/parts.js";
import { complain } from "../parts/toasts.js";
import { Windowed } from "../parts/window.js";
import { download } from "./zone-export.js";

const ALL_AT_ONCE = 200;

/** `back`: an editor was closed, so that the focus comes here. */
export function ZoneList({ back, onNew, onImport }) {
  const [search, setSearch] = useState("");
  const heading = useRef();
  useEffect(() => void (back && heading.current.focus()), []);
  const texts = useMemo(() => (zones.value || []).map(searched), [zones.value]);
  const words = search.trim().toLowerCase();
  const found = (zones.value || []).filter((_, at) => texts[at].includes(words));
  const row = (zone, more) => html`<${Row} key=${zone.id} zone=${zone} more=${more} />`;
  return html`<section class="stack">
      <header class="row">
        <h2 tabindex="-1" ref=${heading}>${zones.value ? many(zones.value.length, "zone") : "Zones"}</h2>
        <span class="row push">
          ${zones.value?.length > 0 && html`<${Export} />`}
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
      ${found.length > ALL_AT_ONCE
        ? html`<${Windowed} items=${found} row=${row} />`
        : html`<ul class="choices">${found.map((zone) => row(zone, {}))}</ul>`}
    </section>`;
}

const searched = ({ id, properties }) =>
  `${id} ${properties.name || ""} ${(properties.tags || []).join(" ")}`.toLowerCase();

function Row({ zone, more }) {
  const { properties, shape } = zone;
  return html`<li ...${more}>
    <button type="button" class="pick" onClick=${() => go("zones", zone.id)}>
      <svg class="swatch" viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" rx="4" fill=${hue(zone.id)} /></svg>
      <span>
        <${Name}>${properties.name || zone.id}<//>
        <small>${shapeWords(shape, properties.radius_m)}</small>
      </span>
      ${properties.sensitive && html`<${Tag} kind="warn" icon="shield">Sensitive<//>`}
      ${properties.active === false && html`<${Tag}>Off<//>`}
      <${Icon} name="chevron-right" />
    </button>
  </li>`;
}

function shapeWords({ type, parts, holes, corners, area_m2 }, radius) {
  if (type === "circle") return `Circle, ${metres(radius)} around its centre`;
  const words = [parts > 1 ? `${parts} parts` : "Polygon"];
  if (holes) words.push(holes === 1 ? "1 hole" : `${holes} holes`);
  return [...words, `${count(corners)} corners`, surface(area_m2)].join(", ");
}

/** A file of all zones as they are stored. */
function Export() {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      download(await wholeZones());
    } catch (error) {
      complain(error);
    } finally {
      setBusy(false);
    }
  };
  return html`<${Button} kind="small" icon="download" label="Export all" busy=${busy} onClick=${save} />`;
}
