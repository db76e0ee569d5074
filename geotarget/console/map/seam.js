// Zones over the antimeridian in one piece. They are stored cut there, as RFC 7946 asks; who draws
// or edits one wants neither the cut nor a map of the whole world. Longitudes go on beyond 180; the
// server cuts them again.

import { degrees2, holds, polygons, wound } from "./plane.js";

const SEAM = 180;
const TURN = 360;
const NEAR = 2e-7; // degrees; nearer to the line between its neighbours a corner is no corner

const eastOf = (ring) => ring.reduce((most, [lng]) => Math.max(most, lng), -Infinity);
const westOf = (ring) => ring.reduce((least, [lng]) => Math.min(least, lng), Infinity);
const key = ([lng, lat]) => `${lng} ${lat}`;
const onSeam = ([lng]) => lng === SEAM;

/** A geometry without its cut at the antimeridian; any other is given back as it is. */
export function unrolled(geometry) {
  if (geometry.type !== "MultiPolygon") return geometry;
  const parts = geometry.coordinates;
  const cutEast = parts.some(([out]) => eastOf(out) === SEAM && westOf(out) > -SEAM);
  const cutWest = parts.some(([out]) => westOf(out) === -SEAM && eastOf(out) <= 0);
  if (!cutEast || !cutWest) return geometry;
  const moved = parts.map((rings) =>
    eastOf(rings[0]) <= 0 ? rings.map((ring) => ring.map(([lng, lat]) => [lng + TURN, lat])) : rings,
  );
  const whole = joined(moved);
  const same = whole && Math.abs(degrees2(whole) - degrees2(geometry)) <= 1e-9 * degrees2(geometry);
  return same ? whole : geometry;
}

/** Parts that meet on the antimeridian as one; null where their edges don't make rings. */
function joined(parts) {
  const away = parts.filter(([out]) => !out.some(onSeam));
  const rings = parts
    .filter(([out]) => out.some(onSeam))
    .flatMap((each) => each.map((ring, at) => wound(ring, at === 0)));
  const found = stitched(edges(rings));
  if (!found) return null;
  const outlines = found.filter((ring) => wound(ring, true) === ring).map((ring) => [ring]);
  for (const hole of found.filter((ring) => wound(ring, true) !== ring)) {
    const part = outlines.find(([out]) => holds(out, hole[0]));
    if (!part) return null;
    part.push(hole);
  }
  const all = [...outlines, ...away];
  return all.length === 1 ? { type: "Polygon", coordinates: all[0] } : { type: "MultiPolygon", coordinates: all };
}

/** The edges of rings but those along the antimeridian that another one runs back on. */
function edges(rings) {
  const stops = [...new Set(rings.flat().filter(onSeam).map(([, lat]) => lat))].sort((one, other) => one - other);
  const kept = [];
  const along = new Map();
  for (const ring of rings) {
    for (let at = 0; at < ring.length - 1; at++) {
      const [from, to] = [ring[at], ring[at + 1]];
      if (!onSeam(from) || !onSeam(to)) {
        kept.push([from, to]);
        continue;
      }
      const between = stops.filter((lat) => lat >= Math.min(from[1], to[1]) && lat <= Math.max(from[1], to[1]));
      if (from[1] > to[1]) between.reverse();
      for (let stop = 0; stop < between.length - 1; stop++) {
        const back = `${between[stop + 1]} ${between[stop]}`;
        if (along.has(back)) along.delete(back);
        else along.set(`${between[stop]} ${between[stop + 1]}`, [[SEAM, between[stop]], [SEAM, between[stop + 1]]]);
      }
    }
  }
  return [...kept, ...along.values()];
}

/** Edges, end to end, as closed rings without the corners that only the cut made; null if one stays open. */
function stitched(pieces) {
  const after = new Map();
  for (const piece of pieces) {
    const there = after.get(key(piece[0]));
    if (there) there.push(piece);
    else after.set(key(piece[0]), [piece]);
  }
  const rings = [];
  for (const [begin] of pieces) {
    if (!after.get(key(begin)).length) continue;
    const ring = [begin];
    do {
      const next = after.get(key(ring.at(-1)))?.pop();
      if (!next) return null;
      ring.push(next[1]);
    } while (key(ring.at(-1)) !== key(begin));
    rings.push(withoutCut(ring));
  }
  return rings;
}

function withoutCut(ring) {
  const open = ring.slice(0, -1);
  const kept = open.filter((corner, at) => {
    if (!onSeam(corner)) return true;
    const [x1, y1] = open[(at + open.length - 1) % open.length];
    const [x2, y2] = open[(at + 1) % open.length];
    const off = Math.abs((x2 - x1) * (corner[1] - y1) - (corner[0] - x1) * (y2 - y1));
    return off > NEAR * Math.hypot(x2 - x1, y2 - y1);
  });
  return [...kept, kept[0]];
}

/**
 * The meridian to draw a shape around, so that no corner of it lies more than half a turn away:
 * drawing tools know longitudes from -180 to 180 only.
 */
export function middleOf(geometry) {
  const rings = polygons(geometry).map(([out]) => out);
  const west = Math.min(...rings.map(westOf));
  const east = Math.max(...rings.map(eastOf));
  return meridianAt(east - west >= TURN ? 0 : (west + east) / 2);
}

/** 0 for the half of the world around Greenwich, else 180 or -180. */
export const meridianAt = (lng) => (Math.abs(lng) <= SEAM / 2 ? 0 : Math.sign(lng) * SEAM);

/** A longitude within -180 and 180. */
export const wrapped = (lng) => lng - TURN * Math.round(lng / TURN);
