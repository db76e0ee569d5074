// Zones as the drawing tool knows them, and back: it edits simple rings only, so a zone with holes
// or several parts is taken apart into rings and put together again.

import { holds, polygons, wound } from "./plane.js";
import { unrolled } from "./seam.js";

const EARTH_M = 6_371_008.8;
/** Decimals of a degree: a centimetre. */
export const PLACES = 7;
const MOST_LAT = 89.9999; // at a pole itself there is no east

/** A place to so many decimals. */
export const rounded = ([lng, lat]) => [Number(lng.toFixed(PLACES)), Number(lat.toFixed(PLACES))];

/** A geometry's rings as features of the drawing tool. */
export function apart(geometry) {
  return polygons(geometry).flatMap((rings) =>
    rings.map((ring, position) => ({
      type: "Feature",
      properties: { mode: "polygon", role: position ? "hole" : "outline" },
      geometry: { type: "Polygon", coordinates: [ring.map(rounded)] },
    })),
  );
}

/**
 * Rings of the drawing tool as one geometry (RFC 7946: outlines counter-clockwise, holes not).
 *
 * @throws {Error} A hole lies in no part.
 */
export function together(features) {
  const rings = features.map(({ properties, geometry }) => ({
    hole: properties.role === "hole",
    ring: geometry.coordinates[0].map(rounded),
  }));
  const parts = rings.filter(({ hole }) => !hole).map(({ ring }) => [wound(ring, true)]);
  for (const { ring } of rings.filter(({ hole }) => hole)) {
    const part = parts.find(([outline]) => holds(outline, ring[0]));
    if (!part) throw new Error("The hole lies outside of the zone.");
    part.push(wound(ring, false));
  }
  if (!parts.length) throw new Error("There is no outline.");
  return parts.length === 1 ? { type: "Polygon", coordinates: parts[0] } : { type: "MultiPolygon", coordinates: parts };
}

/** A geometry without one of its rings; with an outline go its holes. Null when nothing is left. */
export function without(geometry, part, ring) {
  const parts = polygons(geometry).flatMap((rings, at) => {
    if (at !== part) return [rings];
    return ring === 0 ? [] : [rings.filter((_, position) => position !== ring)];
  });
  if (!parts.length) return null;
  return parts.length === 1 ? { type: "Polygon", coordinates: parts[0] } : { type: "MultiPolygon", coordinates: parts };
}

/** Whether a circle holds one of the poles: then it is no ring on a map, but a band. */
export const overPole = ([, lat], radius) => ((90 - Math.abs(lat)) * Math.PI) / 180 <= radius / EARTH_M;

/** The circle around a point as a ring that can be drawn; over a pole it runs along the pole back. */
export function circle([lng, lat], radius, corners = 64) {
  const [phi, angle] = [(Math.max(-MOST_LAT, Math.min(MOST_LAT, lat)) * Math.PI) / 180, radius / EARTH_M];
  const pole = overPole([lng, lat], radius);
  const ring = [];
  for (let corner = 0; corner <= corners; corner++) {
    const bearing = (-2 * Math.PI * (corner % corners)) / corners;
    const north = Math.asin(
      Math.sin(phi) * Math.cos(angle) + Math.cos(phi) * Math.sin(angle) * Math.cos(bearing),
    );
    const aside = Math.atan2(
      Math.sin(bearing) * Math.sin(angle) * Math.cos(phi),
      Math.cos(angle) - Math.sin(phi) * Math.sin(north),
    );
    const there = lng + (aside * 180) / Math.PI;
    const turns = pole && corner ? Math.round((ring.at(-1)[0] - there) / 360) : 0;
    ring.push(rounded([there + 360 * turns, (north * 180) / Math.PI]));
  }
  if (pole) {
    const end = Math.sign(lat) * 90;
    ring.push([ring.at(-1)[0], end], [ring[0][0], end], ring[0]);
  }
  return { type: "Polygon", coordinates: [ring] };
}

/** What can be drawn of a zone: its polygons, in one piece, or the ring of its circle. */
export function outline(zone) {
  const { geometry, properties } = zone;
  return geometry.type === "Point" ? circle(geometry.coordinates, properties.radius_m) : unrolled(geometry);
}

/** [west, south, east, north] of zones, east beyond 180 where one lies over it; null of none. */
export function bounds(zones) {
  const box = [Infinity, 90, -Infinity, -90];
  for (const zone of zones) {
    for (const [ring] of polygons(outline(zone))) {
      for (const [lng, lat] of ring) {
        box[0] = Math.min(box[0], lng);
        box[1] = Math.min(box[1], lat);
        box[2] = Math.max(box[2], lng);
        box[3] = Math.max(box[3], lat);
      }
    }
  }
  return box[0] > box[2] ? null : box;
}
