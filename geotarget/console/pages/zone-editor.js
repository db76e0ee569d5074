// One zone: its form, what to expect of it, its H3 cells; save, delete with undo, export.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { piece, put, remove } from "../api.js";
import { loadZones, wholeZone, zones } from "../catalogue.js";
import { may } from "../session.js";
import { Button, Name, Trouble } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { ZoneCells } from "./zone-cells.js";
import { Expectations } from "./zone-expectations.js";
import { download } from "./zone-export.js";
import { featureOf, ZoneForm } from "./zone-form.js";

const GEOJSON = { type: "application/geo+json" };

/** Deleted zones come back as they were. */
async function restore({ type, id, geometry, properties }) {
  try {
    await put(`/v1/zones/${piece(id)}`, { type, id, geometry, properties }, GEOJSON);
    await loadZones();
  } catch (error) {
    complain(error);
  }
}

/**
 * The editor of a zone.
 *
 * @param {{form, change, drawn: boolean, onTool: (name: string) => void,
 *   onRing: (part: number, ring: number) => void, onCells: (cells: object[]) => void,
 *   onClose: () => void}} properties
 *   `drawn`: whether the map shows the shape so that it can be changed there.
 */
export function Editor({ form, change, drawn, onTool, onRing, onCells, onClose }) {
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const heading = useRef();
  const inputs = useRef();
  useEffect(() => heading.current.focus(), []);
  useEffect(() => inputs.current.querySelector('[aria-invalid="true"]')?.focus(), [wrong]);
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
    if (form.isNew && (zones.value || []).some((each) => each.id === feature.id)) {
      setWrong({ id: `There is a zone with the id “${feature.id}” already: give this one another.` });
      return;
    }
    setBusy(true);
    try {
      await put(`/v1/zones/${piece(feature.id)}`, feature, GEOJSON);
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
    try {
      const before = await wholeZone(form.id);
      await remove(`/v1/zones/${piece(form.id)}`);
      await loadZones();
      onClose();
      say(`${form.name || form.id} was deleted.`, { undo: () => restore(before) });
    } catch (refused) {
      setError(refused);
    }
  };
  const keep = async () => {
    try {
      download([await wholeZone(form.id)], `${form.id}.geojson`);
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<section class="stack">
      <header class="row zone-head">
        <${Button} kind="small quiet" icon="chevron-left" label="Back to the list" onClick=${onClose} />
        <h2 tabindex="-1" ref=${heading}>${form.isNew ? "New zone" : html`<${Name}>${form.name || form.id}<//>`}</h2>
        ${!form.isNew && html`<${Button} kind="small quiet" icon="download" label="Export as GeoJSON" onClick=${keep} />`}
      </header>
      <form class="stack" ref=${inputs} onSubmit=${save} novalidate>
        <fieldset disabled=${!writes}>
          <${ZoneForm} form=${form} wrong=${wrong} change=${change} onRing=${onRing} tools=${html`<${ShapeTools} form=${form} drawn=${drawn} onTool=${onTool} />`} />
        </fieldset>
        <${Trouble} error=${error} />
        ${writes &&
        html`<div class="row">
          <${Button} type="submit" kind="main" icon="save" busy=${busy}>Save<//>
          <${Button} onClick=${onClose}>Cancel<//>
          ${!form.isNew && html`<span class="push"><${Button} kind="danger" icon="trash-2" onClick=${erase}>Delete<//></span>`}
        </div>`}
      </form>
    </section>
    ${form.geometry && html`<${Expectations} form=${form} /><${ZoneCells} form=${form} onCells=${onCells} />`}`;
}

/** What changes the shape on the map. */
function ShapeTools({ form, drawn, onTool }) {
  const { geometry } = form;
  if (!geometry) return html`<span class="hint">Choose a tool on the map, or give coordinates below.</span>`;
  if (!drawn) return html`<span class="hint">It can't be changed on the map: give coordinates below.</span>`;
  if (geometry.type === "Point") return html`<span class="hint">Drag it on the map, or type it below.</span>`;
  return html`<${Button} kind="small" icon="square-dashed" onClick=${() => onTool("hole")}>Cut a hole<//>
    <${Button} kind="small" icon="plus" onClick=${() => onTool("part")}>Add a part<//>`;
}
