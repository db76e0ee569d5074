// Zones as the drawing tool knows them, and back: it edits simple rings only, so a zone with holes
// or several parts is taken apart into rings and put together again.

const EARTH_M = 6_371_008.8;
const PLACES = 7;

const rounded = ([lng, lat]) => [Number(lng.toFixed(PLACES)), Number(lat.toFixed(PLACES))];

/** Twice the signed area of a ring: positive runs counter-clockwise. */
function turning(ring) {
  let sum = 0;
  for (let at = 0; at < ring.length - 1; at++) {
    sum += ring[at][0] * ring[at + 1][1] - ring[at + 1][0] * ring[at][1];
  }
  return sum;
}

const wound = (ring, counterClockwise) => (turning(ring) > 0 === counterClockwise ? ring : [...ring].reverse());

function holds(ring, [x, y]) {
  let inside = false;
  for (let at = 0, before = ring.length - 1; at < ring.length; before = at++) {
    const [x1, y1] = ring[at];
    const [x2, y2] = ring[before];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

/** The polygons of a geometry: rings of each, the outline first. */
export function polygons(geometry) {
  return geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
}

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

/** The circle around a point as a ring that can be drawn. */
export function circle([lng, lat], radius, corners = 64) {
  const [phi, lambda, angle] = [(lat * Math.PI) / 180, (lng * Math.PI) / 180, radius / EARTH_M];
  const ring = [];
  for (let corner = 0; corner <= corners; corner++) {
    const bearing = (-2 * Math.PI * (corner % corners)) / corners;
    const north = Math.asin(
      Math.sin(phi) * Math.cos(angle) + Math.cos(phi) * Math.sin(angle) * Math.cos(bearing),
    );
    const east = Math.atan2(
      Math.sin(bearing) * Math.sin(angle) * Math.cos(phi),
      Math.cos(angle) - Math.sin(phi) * Math.sin(north),
    );
    ring.push(rounded([((lambda + east) * 180) / Math.PI, (north * 180) / Math.PI]));
  }
  return { type: "Polygon", coordinates: [ring] };
}

/** What can be drawn of a zone: its polygons, or the ring of its circle. */
export function outline(zone) {
  const { geometry, properties } = zone;
  return geometry.type === "Point" ? circle(geometry.coordinates, properties.radius_m) : geometry;
}

/** [west, south, east, north] of zones; null of none. */
export function bounds(zones) {
  const box = [180, 90, -180, -90];
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

/** Square metres of a polygon, near enough to tell people. */
export function area(geometry) {
  const ringArea = (ring) => {
    const lat = (ring[0][1] * Math.PI) / 180;
    const degree = (Math.PI * EARTH_M) / 180;
    return Math.abs(turning(ring) / 2) * degree * degree * Math.cos(lat);
  };
  return polygons(geometry).reduce(
    (sum, [out, ...holes]) => sum + ringArea(out) - holes.reduce((less, hole) => less + ringArea(hole), 0),
    0,
  );
}
