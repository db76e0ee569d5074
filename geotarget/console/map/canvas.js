// What draws a board: the ground, the zones out of tiles, the devices over them.
//
// Zones come as vector tiles that a worker reads: this thread never sees an outline, so it does not
// matter how many there are or how many corners they have.

import * as maplibre from "../vendor/maplibre-gl.mjs";
import { theme } from "../theme.js";
import { ground } from "./basemap.js";
import { Dots } from "./dots.js";
import { HUES } from "./hues.js";

const CITY = "data/helsinki.pmtiles";
const FONT = ["Inter", "system-ui", "sans-serif"];
const TILES = new URL("/v1/tiles/zones/", location).href;
const DEEPEST = 16;
const AGAIN_MS = 3000;
const NONE = "";
const AT_FIRST = { center: [24.9435, 60.1712], zoom: 13.6 };
const FRAMED = { padding: 60, maxZoom: 15.5, animate: false };

maplibre.setWorkerUrl(new URL("../vendor/maplibre-gl-worker.mjs", import.meta.url).href);

const HUE = ["match", ["get", "tone"], ...HUES.slice(1).flatMap((hue, at) => [at + 1, hue]), HUES[0]];
const faint = (off, on) => ["case", ["==", ["get", "off"], 1], off, on];
const only = (id) => ["==", ["get", "id"], id || NONE];
const but = (id) => ["!=", ["get", "id"], id || NONE];

const LAYERS = [
  { id: "zone-dot", from: "dots", type: "circle", paint: { "circle-color": HUE, "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, 1.5, 10, 3], "circle-opacity": faint(0.4, 0.85) } },
  { id: "zone-fill", from: "zones", type: "fill", paint: { "fill-color": HUE, "fill-opacity": faint(0.06, 0.2) } },
  { id: "zone-line", from: "zones", type: "line", paint: { "line-color": HUE, "line-width": ["interpolate", ["linear"], ["zoom"], 8, 1, 13, 2], "line-opacity": faint(0.5, 1) } },
];
const CHOSEN = { id: "zone-chosen", from: "zones", type: "line", paint: { "line-color": HUE, "line-width": 4.5 } };
const NAMES = { id: "zone-name", from: "names", type: "symbol", minzoom: 12, layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 12.5, "text-max-width": 9 } };
const HIDING = ["zone-dot", "zone-fill", "zone-line", "zone-name"];
const CLICKED = ["zone-fill", "zone-dot"];

/** [west, south, east, north] of zones as listed; east beyond 180 where they lie over it. */
export function extent(zones) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { bbox: [west, south, east, north] } of zones) {
    box[0] = Math.min(box[0], west);
    box[1] = Math.min(box[1], south);
    box[2] = Math.max(box[2], east < west ? east + 360 : east);
    box[3] = Math.max(box[3], north);
  }
  return box;
}

/** The style of a board in some colours. */
async function styleOf(colours) {
  const style = await ground(colours, CITY);
  style.sources.zones = { type: "vector", tiles: [`${TILES}{z}/{x}/{y}`], maxzoom: DEEPEST };
  const dark = colours === "dark";
  const ink = {
    "text-color": dark ? "#f2f4f8" : "#161b26",
    "text-halo-color": dark ? "#10131a" : "#ffffff",
    "text-halo-width": 1.6,
  };
  for (const { from, ...layer } of [...LAYERS, CHOSEN, { ...NAMES, paint: ink }]) {
    const filter = HIDING.includes(layer.id) ? but(NONE) : only(NONE);
    style.layers.push({ ...layer, filter, source: "zones", "source-layer": from });
  }
  return style;
}

/**
 * A map in an element; null where the browser can't draw one.
 *
 * @param {HTMLElement} element
 * @param {{current: object}} latest - The properties of the board, as they are now.
 */
export function open(element, latest) {
  const { zones } = latest.current;
  const where = zones.length ? { bounds: extent(zones), fitBoundsOptions: FRAMED } : AT_FIRST;
  let map;
  try {
    map = new maplibre.Map({
      container: element,
      style: { version: 8, sources: {}, layers: [] },
      ...where,
      fadeDuration: 0,
      attributionControl: { compact: true },
    });
  } catch {
    return null;
  }
  element.geotargetMap = map; // for tests and for the curious: where a place lies on the screen
  const dots = new Dots();
  let leave = null;
  let listed = zones;
  let painted = "";
  let closed = false;
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new maplibre.ScaleControl(), "bottom-left");
  map.on("click", CLICKED, (event) => latest.current.onChoose?.(event.features[0].properties.id));
  map.on("mouseenter", CLICKED, () => latest.current.onChoose && (map.getCanvas().style.cursor = "pointer"));
  map.on("mouseleave", CLICKED, () => (map.getCanvas().style.cursor = ""));

  const canvas = {
    async paint(colours) {
      if (painted === colours) return;
      painted = colours;
      const style = await styleOf(colours).catch(() => null);
      if (closed || painted !== colours) return;
      if (!style) {
        painted = ""; // the node is away: it may be back soon
        setTimeout(() => closed || canvas.paint(theme.value), AGAIN_MS);
        return;
      }
      leave?.();
      map.setStyle(style, { diff: false });
      map.once("styledata", () => {
        if (closed) return;
        dots.colour = colours === "dark" ? [0.49, 0.61, 1] : [0.18, 0.34, 0.84];
        dots.rim = colours === "dark" ? [0.06, 0.07, 0.1] : [1, 1, 1];
        if (!map.getLayer("dots")) map.addLayer(dots, "zone-name");
        canvas.choose(latest.current.chosen);
        canvas.hide(latest.current.hidden);
        leave = latest.current.onReady?.(map, dots) || null;
        map.once("idle", () => (document.documentElement.dataset.ready = "1"));
      });
    },
    showZones(zones) {
      if (zones === listed) return;
      if (map.getSource("zones")) map.refreshTiles("zones");
      if (!listed.length && zones.length) map.fitBounds(extent(zones), FRAMED);
      listed = zones;
    },
    choose(id) {
      if (map.getLayer("zone-chosen")) map.setFilter("zone-chosen", only(id));
    },
    hide(id) {
      if (!map.getLayer("zone-fill")) return;
      for (const layer of HIDING) map.setFilter(layer, but(id));
    },
    close() {
      closed = true;
      leave?.();
      map.remove();
    },
  };
  canvas.paint(theme.value);
  return canvas;
}
