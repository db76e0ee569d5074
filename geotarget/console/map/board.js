// The map as a part of a page: ground, zones, devices. Without WebGL2 it says so, and the page
// around it goes on: lists and forms can do everything that the map can.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import * as maplibre from "../vendor/maplibre-gl.mjs";
import { theme } from "../theme.js";
import { Empty } from "../parts/parts.js";
import { ground } from "./basemap.js";
import { Dots } from "./dots.js";
import { bounds, outline } from "./rings.js";

const CITY = "data/helsinki.pmtiles";
const FONT = ["Inter", "system-ui", "sans-serif"];
const HUES = ["#2f56d6", "#c2410c", "#0f766e", "#9333ea", "#be185d", "#4d7c0f"];

maplibre.setWorkerUrl(new URL("../vendor/maplibre-gl-worker.mjs", import.meta.url).href);

/** The colour of a zone: always the same for one id. */
export function hue(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return HUES[sum % HUES.length];
}

const drawable = (zones) => ({
  type: "FeatureCollection",
  features: zones.map((zone) => ({
    type: "Feature",
    geometry: outline(zone),
    properties: {
      id: zone.id,
      name: zone.properties.name || zone.id,
      hue: hue(zone.id),
      off: zone.properties.active === false,
    },
  })),
});

const CHOSEN = ["==", ["get", "id"], ""];
const LAYERS = [
  { id: "zone-fill", type: "fill", paint: { "fill-color": ["get", "hue"], "fill-opacity": ["case", ["get", "off"], 0.06, 0.2] } },
  { id: "zone-line", type: "line", paint: { "line-color": ["get", "hue"], "line-width": 2, "line-opacity": ["case", ["get", "off"], 0.5, 1] } },
  { id: "zone-chosen", type: "line", filter: CHOSEN, paint: { "line-color": ["get", "hue"], "line-width": 4.5 } },
];

/**
 * A map.
 *
 * @param {{zones: object[], chosen?: string, onChoose?: (id: string) => void,
 *   onReady?: (map, dots) => void | (() => void), label: string}} properties
 *   `onReady` gets the map when it can be used, again after a change of colours; what it returns
 *   is called before that.
 */
export function Board({ zones, chosen, onChoose, onReady, label }) {
  const element = useRef();
  const board = useRef(null);
  const latest = useRef({});
  latest.current = { zones, chosen, onChoose, onReady };
  const [broken, setBroken] = useState(false);

  useEffect(() => {
    const made = open(element.current, latest, setBroken);
    board.current = made;
    return () => made?.close();
  }, []);
  useEffect(() => board.current?.paint(theme.value), [theme.value]);
  useEffect(() => board.current?.showZones(zones), [zones]);
  useEffect(() => board.current?.choose(chosen), [chosen]);

  if (broken) {
    return html`<${Empty} icon="map" title="The map can't be shown">
      <p>This browser has no WebGL2. Everything can be done through the lists and forms beside it.</p>
    <//>`;
  }
  return html`<div class="board" ref=${element} role="region" aria-label=${label}></div>`;
}

function open(element, latest, setBroken) {
  let map;
  try {
    map = new maplibre.Map({
      container: element,
      style: { version: 8, sources: {}, layers: [] },
      center: [24.9435, 60.1712],
      zoom: 13.6,
      fadeDuration: 0,
      attributionControl: { compact: true },
    });
  } catch {
    setBroken(true);
    return null;
  }
  element.geotargetMap = map; // for tests and for the curious: where a place lies on the screen
  const dots = new Dots();
  let leave = null;
  let framed = false;
  let painted = "";
  let closed = false;
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new maplibre.ScaleControl(), "bottom-left");
  map.on("click", "zone-fill", (event) => latest.current.onChoose?.(event.features[0].properties.id));
  map.on("mouseenter", "zone-fill", () => latest.current.onChoose && (map.getCanvas().style.cursor = "pointer"));
  map.on("mouseleave", "zone-fill", () => (map.getCanvas().style.cursor = ""));

  const board = {
    async paint(colours) {
      if (painted === colours) return;
      painted = colours;
      const style = await ground(colours, CITY);
      if (closed || painted !== colours) return;
      leave?.();
      style.sources.zones = { type: "geojson", data: drawable(latest.current.zones || []), tolerance: 0.2 };
      style.layers.push(...LAYERS.map((layer) => ({ ...layer, source: "zones" })));
      style.layers.push({
        id: "zone-name",
        type: "symbol",
        source: "zones",
        minzoom: 12,
        layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 12.5, "text-max-width": 9 },
        paint: {
          "text-color": colours === "dark" ? "#f2f4f8" : "#161b26",
          "text-halo-color": colours === "dark" ? "#10131a" : "#ffffff",
          "text-halo-width": 1.6,
        },
      });
      map.setStyle(style, { diff: false });
      map.once("styledata", () => {
        if (closed) return;
        dots.colour = colours === "dark" ? [0.49, 0.61, 1] : [0.18, 0.34, 0.84];
        dots.rim = colours === "dark" ? [0.06, 0.07, 0.1] : [1, 1, 1];
        if (!map.getLayer("dots")) map.addLayer(dots, "zone-name");
        board.choose(latest.current.chosen);
        leave = latest.current.onReady?.(map, dots) || null;
        map.once("idle", () => (document.documentElement.dataset.ready = "1"));
      });
    },
    showZones(zones) {
      map.getSource("zones")?.setData(drawable(zones || []));
      const box = !framed && zones?.length ? bounds(zones) : null;
      if (box) {
        framed = true;
        map.fitBounds(box, { padding: 60, maxZoom: 15.5, animate: false });
      }
    },
    choose(id) {
      if (map.getLayer("zone-chosen")) map.setFilter("zone-chosen", ["==", ["get", "id"], id || ""]);
    },
    close() {
      closed = true;
      leave?.();
      map.remove();
    },
  };
  board.paint(theme.value);
  return board;
}
