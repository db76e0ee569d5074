// Rings of degrees as shapes of the plane: which way they run, what they hold, how large they are.

const EARTH_M = 6_371_008.8;

/** Twice the signed area of a ring: positive runs counter-clockwise. */
function turning(ring) {
  let sum = 0;
  for (let at = 0; at < ring.length - 1; at++) {
    sum += ring[at][0] * ring[at + 1][1] - ring[at + 1][0] * ring[at][1];
  }
  return sum;
}

/** A ring that runs counter-clockwise, or one that does not. */
export const wound = (ring, counterClockwise) => (turning(ring) > 0 === counterClockwise ? ring : [...ring].reverse());

/** Whether a place lies in a ring. */
export function holds(ring, [x, y]) {
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

/** Of each part its outline, less its holes. */
const summed = (geometry, size) =>
  polygons(geometry).reduce(
    (sum, [out, ...holes]) => sum + size(out) - holes.reduce((less, hole) => less + size(hole), 0),
    0,
  );

/** Square degrees of a polygon. */
export const degrees2 = (geometry) => summed(geometry, (ring) => Math.abs(turning(ring) / 2));

/** Square metres of a polygon, near enough to tell people: a percent where edges are short. */
export function area(geometry) {
  const radian = Math.PI / 180;
  const size = (ring) => {
    let sum = 0;
    for (let at = 0; at < ring.length - 1; at++) {
      const [[x1, y1], [x2, y2]] = [ring[at], ring[at + 1]];
      sum += ((x2 - x1) * radian * (Math.sin(y1 * radian) + Math.sin(y2 * radian))) / 2;
    }
    return Math.abs(sum) * EARTH_M * EARTH_M;
  };
  return summed(geometry, size);
}

/** Metres around a polygon and its holes. */
export function around(geometry) {
  const degree = (Math.PI / 180) * EARTH_M;
  let sum = 0;
  for (const ring of polygons(geometry).flat()) {
    for (let at = 0; at < ring.length - 1; at++) {
      const [[x1, y1], [x2, y2]] = [ring[at], ring[at + 1]];
      sum += Math.hypot((x2 - x1) * Math.cos(((y1 + y2) / 2) * (Math.PI / 180)), y2 - y1) * degree;
    }
  }
  return sum;
}
