// Zones: the map to draw them on beside their list, or beside one of them. A GeoJSON file can be
// dropped anywhere.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { loadZones, wholeZone, zones, zonesOrNone } from "../catalogue.js";
import { Board } from "../map/board.js";
import { cellsOn } from "../map/cells.js";
import { drawOn } from "../map/drawing.js";
import { bounds } from "../map/rings.js";
import { go, place } from "../router.js";
import { may } from "../session.js";
import { Button } from "../parts/parts.js";
import { complain } from "../parts/toasts.js";
import { Editor } from "./zone-editor.js";
import { blank, formOf } from "./zone-form.js";
import { ZoneImport } from "./zone-import.js";
import { ZoneList } from "./zone-list.js";

const TOOLS = [
  ["polygon", "pentagon", "Polygon"],
  ["circle", "circle", "Circle"],
  ["rectangle", "square", "Rectangle"],
  ["freehand", "lasso", "Freehand"],
];

export function Zones() {
  const [form, setForm] = useState(null);
  const [importing, setImporting] = useState(null);
  const [tool, setTool] = useState("");
  const [drawn, setDrawn] = useState(true);
  const [over, setOver] = useState(false);
  const drawing = useRef(null);
  const map = useRef(null);
  const cells = useRef({ shown: [], show: null });
  const current = useRef(null);
  const closed = useRef(false);
  current.current = form;
  useEffect(() => void (zones.value || loadZones()), []);

  const change = (changes) => setForm((before) => before && { ...before, ...changes });
  const open = (next) => {
    closed.current = Boolean(form) && !next;
    setForm(next);
    setTool("");
    drawing.current?.clear();
  };
  const onCells = (found) => {
    cells.current.shown = found;
    cells.current.show?.(found);
  };
  const fit = ({ geometry, radius }) =>
    map.current?.fitBounds(bounds([{ geometry, properties: { radius_m: radius } }]), { padding: 80, maxZoom: 16.5, animate: false });
  const onReady = (ready) => {
    const late = !map.current; // a zone that was opened before there was a map is not in view
    map.current = ready;
    if (late && current.current?.geometry) fit(current.current);
    cells.current.show = cellsOn(ready);
    cells.current.show(cells.current.shown);
    const pen = drawOn(
      ready,
      (shape) => {
        setTool("");
        setForm((before) => ({ ...(before || blank()), ...(shape || { geometry: null, radius: null }) }));
      },
      (error) => {
        setTool("");
        complain(error);
      },
    );
    drawing.current = pen;
    if (current.current?.geometry) setDrawn(pen.show(current.current));
    return () => {
      pen.stop();
      drawing.current = null;
      cells.current.show = null;
    };
  };
  const choose = async (id) => {
    if (!(zones.value || []).some((each) => each.id === id)) return;
    let zone;
    try {
      zone = await wholeZone(id);
    } catch (error) {
      complain(error);
      return;
    }
    if (place.value.rest[0] !== id) return; // gone elsewhere meanwhile
    const next = formOf(zone);
    open(next);
    fit(next);
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
  const cutOrAdd = (name) => {
    setTool(name);
    if (name === "hole") drawing.current?.cut();
    else drawing.current?.part();
  };
  useEffect(() => {
    // a circle that was typed, or a zone that was opened, is drawn where it can be changed
    if (!drawing.current || tool) return;
    if (form?.geometry) setDrawn(drawing.current.show(form));
    else drawing.current.clear();
  }, [form?.id, form?.isNew, JSON.stringify(form?.geometry), form?.radius, tool]);
  useEffect(() => {
    const stop = ({ key }) => {
      if (key !== "Escape" || !tool) return;
      setTool("");
      drawing.current?.end();
    };
    addEventListener("keydown", stop);
    return () => removeEventListener("keydown", stop);
  }, [tool]);
  const writes = may("zones:write");
  const dropping = writes && {
    onDragOver: (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: (event) => event.currentTarget.contains(event.relatedTarget) || setOver(false),
    onDrop: (event) => {
      event.preventDefault();
      setOver(false);
      const [file] = event.dataTransfer.files;
      if (file) setImporting({ file });
    },
  };

  return html`<div class=${over ? "map-page dropping" : "map-page"} ...${dropping}>
    <h1 class="unseen">Zones</h1>
    <div class="ground">
      <${Board} label="Map of zones" zones=${zonesOrNone.value} hidden=${form?.geometry && drawn ? form.id : ""} onChoose=${form ? undefined : (id) => go("zones", id)} onReady=${onReady} />
      ${writes &&
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
            drawn=${drawn}
            onTool=${cutOrAdd}
            onRing=${(part, ring) => drawing.current?.choose(part, ring)}
            onCells=${onCells}
            onClose=${() => {
              open(null);
              go("zones");
            }}
          />`
        : html`<${ZoneList} back=${closed.current} onNew=${() => open(blank())} onImport=${() => setImporting({})} />`}
    </aside>
    ${importing && html`<${ZoneImport} file=${importing.file} onClose=${() => setImporting(null)} />`}
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
