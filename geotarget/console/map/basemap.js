// The ground under the zones: the world from Natural Earth, a city at street level where there is
// a PMTiles file of it. Everything comes from this server; no other host is ever asked.

import { Protocol } from "../vendor/pmtiles.js";
import { feature, mesh } from "../vendor/topojson.js";
import { addProtocol } from "../vendor/maplibre-gl.mjs";

const FONT = ["Inter", "system-ui", "sans-serif"];

const LIGHT = {
  water: "#d3e2ea", land: "#f4f3ef", border: "#c9c4b8", green: "#dfecd6", lake: "#c5dce8",
  building: "#e7e3db", outline: "#dad5ca", path: "#e3ddd2", casing: "#d8d1c5", road: "#ffffff",
  main: "#fbe9c4", rail: "#bdb9b3", text: "#5d574d", faint: "#7a7468", halo: "#ffffff",
};
const DARK = {
  water: "#17222c", land: "#20252e", border: "#3c4451", green: "#22332b", lake: "#1a2a37",
  building: "#2a303b", outline: "#333a46", path: "#323844", casing: "#171b22", road: "#3a414e",
  main: "#4d4a3d", rail: "#4a5260", text: "#b5bdca", faint: "#8f98a7", halo: "#171b22",
};

const byZoom = (from, to) => ["interpolate", ["exponential", 1.5], ["zoom"], 12, from, 17, to];
const collection = (features) => ({ type: "FeatureCollection", features });

let parts;
let protocolKnown = false;

/** Load what the ground is made of, once. */
function load() {
  const json = (name) => fetch(`data/${name}`).then((answer) => answer.json());
  parts ??= Promise.all([
    json("world-50m.topojson"),
    json("country-labels.geojson"),
    json("cities-1000.json"),
    document.fonts.load('500 12px "Inter"'),
  ]);
  parts.catch(() => (parts = undefined)); // asked for again the next time
  return parts;
}

/**
 * The style of the ground for MapLibre.
 *
 * @param {"light" | "dark"} theme
 * @param {string | null} city - Address of a PMTiles file, if there is one.
 */
export async function ground(theme, city) {
  const colours = theme === "dark" ? DARK : LIGHT;
  const [world, countries, cities] = await load();
  const land = { maxzoom: 6, buffer: 16 };
  const sources = {
    land: {
      type: "geojson",
      data: feature(world, world.objects.countries),
      attribution: "Natural Earth",
      ...land,
    },
    borders: {
      type: "geojson",
      data: mesh(world, world.objects.countries, (one, other) => one !== other),
      ...land,
    },
    countries: { type: "geojson", data: countries },
    cities: { type: "geojson", attribution: "© GeoNames", data: collection(cities.map(point)) },
  };
  const layers = [
    { id: "water", type: "background", paint: { "background-color": colours.water } },
    { id: "land", type: "fill", source: "land", paint: { "fill-color": colours.land } },
    {
      id: "borders",
      type: "line",
      source: "borders",
      paint: { "line-color": colours.border, "line-width": ["interpolate", ["linear"], ["zoom"], 1, 0.5, 6, 1.4] },
    },
  ];
  if (city) {
    if (!protocolKnown) addProtocol("pmtiles", new Protocol().tile);
    protocolKnown = true;
    sources.city = {
      type: "vector",
      url: `pmtiles://${new URL(city, location)}`,
      attribution: "© OpenStreetMap contributors",
    };
    layers.push(...streets(colours));
  }
  layers.push(
    label("country-names", "countries", ["upcase", ["get", "name"]], colours.faint, colours, {
      maxzoom: 5,
      layout: { "symbol-sort-key": ["-", ["get", "area"]], "text-letter-spacing": 0.08 },
    }),
    label("city-names", "cities", ["get", "name"], colours.text, colours, {
      minzoom: 3.5,
      maxzoom: 12,
      layout: { "symbol-sort-key": ["get", "rank"], "text-size": 12 },
    }),
  );
  return { version: 8, sources, layers };
}

function point([name, lng, lat], rank) {
  return { type: "Feature", properties: { name, rank }, geometry: { type: "Point", coordinates: [lng, lat] } };
}

function label(id, source, text, colour, colours, { layout = {}, ...rest } = {}) {
  return {
    id,
    type: "symbol",
    source,
    ...rest,
    layout: { "text-font": FONT, "text-size": 11, "text-field": text, ...layout },
    paint: { "text-color": colour, "text-halo-color": colours.halo, "text-halo-width": 1.3 },
  };
}

function streets(colours) {
  const layer = (id, type, from, paint, rest = {}) => ({
    id, type, source: "city", "source-layer": from, paint, ...rest,
  });
  const round = { "line-cap": "round", "line-join": "round" };
  const major = ["match", ["get", "class"], [1, 2, 3], colours.main, colours.road];
  return [
    layer("green", "fill", "green", { "fill-color": colours.green }),
    layer("lakes", "fill", "water", { "fill-color": colours.lake }),
    layer("buildings", "fill", "buildings", { "fill-color": colours.building, "fill-outline-color": colours.outline }),
    layer("paths", "line", "roads", { "line-color": colours.path, "line-width": byZoom(0.3, 1.5) }, {
      filter: ["==", ["get", "class"], 7],
      minzoom: 14.5,
    }),
    layer("casings", "line", "roads", { "line-color": colours.casing, "line-width": byZoom(1.2, 15) }, {
      filter: ["<=", ["get", "class"], 5],
      layout: round,
    }),
    layer("roads", "line", "roads", { "line-color": major, "line-width": byZoom(0.8, 12) }, {
      filter: ["<=", ["get", "class"], 6],
      layout: round,
    }),
    layer("rails", "line", "rail", { "line-color": colours.rail, "line-width": 0.8, "line-dasharray": [3, 2] }),
    label("street-names", "city", ["get", "name"], colours.faint, colours, {
      "source-layer": "roads",
      minzoom: 14.5,
      filter: ["<=", ["get", "class"], 5],
      layout: { "symbol-placement": "line", "symbol-spacing": 280, "text-size": 10.5 },
    }),
    label("shop-names", "city", ["get", "name"], colours.faint, colours, {
      "source-layer": "poi",
      minzoom: 16.2,
      layout: { "text-size": 10 },
    }),
  ];
}
