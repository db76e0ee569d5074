// Drawing on a board: outlines, circles and holes by mouse or touch; vertices that can be moved.
//
// The tool keeps rings. What it has is told after every finished change, as one geometry with its
// holes, or as a centre and a radius. Holes are hatched in a colour of their own.

import {
  TerraDraw,
  TerraDrawCircleMode,
  TerraDrawFreehandMode,
  TerraDrawPolygonMode,
  TerraDrawRectangleMode,
  TerraDrawSelectMode,
} from "../vendor/terra-draw.js";
import { Frame, turned } from "./frame.js";
import { polygons } from "./plane.js";
import { apart, circle, overPole, PLACES, rounded, together } from "./rings.js";
import { meridianAt, middleOf, wrapped } from "./seam.js";

const TOOLS = { polygon: "polygon", rectangle: "rectangle", circle: "circle", freehand: "freehand" };
const VERTICES = { feature: { draggable: true, coordinates: { midpoints: true, draggable: true, deletable: true } } };
const [ZONE, HOLE, WHITE] = ["#2f56d6", "#b3261e", "#ffffff"];
const HATCH = "hole-hatch";

/** The tool's looks; `cutting` tells whether what is being drawn is a hole. */
function styles(cutting) {
  const isHole = ({ properties }) => properties.role === "hole" || (properties.currentlyDrawing && cutting());
  const colour = (feature) => (isHole(feature) ? HOLE : ZONE);
  const opacity = (feature) => (isHole(feature) ? 0.12 : 0.18);
  return {
    ring: {
      fillColor: colour,
      fillOpacity: opacity,
      outlineColor: colour,
      outlineWidth: 2,
      closingPointColor: WHITE,
      closingPointOutlineColor: () => (cutting() ? HOLE : ZONE),
    },
    chosen: {
      selectedPolygonColor: colour,
      selectedPolygonFillOpacity: opacity,
      selectedPolygonOutlineColor: colour,
      selectedPolygonOutlineWidth: 3,
      selectionPointColor: WHITE,
      selectionPointOutlineColor: ZONE,
      selectionPointOutlineWidth: 2,
      selectionPointWidth: 6,
      midPointColor: ZONE,
      midPointOutlineColor: WHITE,
      midPointOutlineWidth: 1,
      midPointWidth: 4,
    },
  };
}

/** Stripes over holes, so that not only their colour tells them from the zone. */
function hatch(map) {
  const size = 12;
  const pen = Object.assign(document.createElement("canvas"), { width: size, height: size }).getContext("2d");
  pen.strokeStyle = HOLE;
  pen.lineWidth = 1.6;
  for (const from of [-size, 0, size]) {
    pen.moveTo(from, size);
    pen.lineTo(from + size, 0);
  }
  pen.stroke();
  if (!map.hasImage(HATCH)) map.addImage(HATCH, pen.getImageData(0, 0, size, size));
  const filter = ["==", ["get", "role"], "hole"];
  map.addLayer({ id: HATCH, type: "fill", source: "td-polygon", filter, paint: { "fill-pattern": HATCH, "fill-opacity": 0.7 } }, "td-polygon-outline");
}

/** The rings of a geometry, or of a circle, as the tool takes them around a meridian. */
function ringsOf({ geometry, radius }, meridian) {
  const features =
    geometry.type === "Point"
      ? [{
          type: "Feature",
          properties: { mode: "circle", radiusKilometers: radius / 1000 },
          geometry: circle(geometry.coordinates, radius),
        }]
      : apart(geometry);
  return features.map((feature) => {
    const [ring] = turned(feature.geometry.coordinates, -meridian);
    return { ...feature, geometry: { type: "Polygon", coordinates: [ring.map(rounded)] } };
  });
}

/** What the tool has, as a zone's shape. */
function shapeOf(features, meridian) {
  const rings = features
    .filter(({ geometry, properties }) => geometry.type === "Polygon" && properties.mode in TOOLS && !properties.currentlyDrawing)
    .map((each) => ({ ...each, geometry: { ...each.geometry, coordinates: turned(each.geometry.coordinates, meridian) } }));
  if (rings.length === 1 && rings[0].properties.mode === "circle") {
    const { properties, geometry } = rings[0];
    return {
      geometry: { type: "Point", coordinates: centre(geometry.coordinates[0]) },
      radius: Math.max(1, Math.round(properties.radiusKilometers * 1000)),
    };
  }
  return rings.length ? { geometry: together(rings), radius: null } : null;
}

function centre(ring) {
  const corners = ring.slice(0, -1);
  const mean = (axis) => corners.reduce((sum, corner) => sum + corner[axis], 0) / corners.length;
  return rounded([wrapped(mean(0)), mean(1)]);
}

const sameShape = (one, other) =>
  JSON.stringify([one?.geometry, one?.radius]) === JSON.stringify([other?.geometry, other?.radius]);

/**
 * Draw on a map.
 *
 * @param map - Of MapLibre, with its style loaded.
 * @param {(shape: {geometry, radius} | null) => void} onShape - After every finished change.
 * @param {(error: Error) => void} onProblem - Something that can't be; it is taken back.
 */
export function drawOn(map, onShape, onProblem) {
  let hole = false;
  let has = null; // the shape that is shown, as it was told or given
  const { ring, chosen } = styles(() => hole);
  const frame = new Frame({ map, coordinatePrecision: PLACES });
  const draw = new TerraDraw({
    adapter: frame,
    modes: [
      new TerraDrawPolygonMode({ styles: ring }),
      new TerraDrawRectangleMode({ styles: ring }),
      new TerraDrawCircleMode({ styles: ring }),
      new TerraDrawFreehandMode({ styles: ring }),
      new TerraDrawSelectMode({
        styles: chosen,
        flags: {
          polygon: VERTICES,
          rectangle: VERTICES,
          freehand: VERTICES,
          circle: { feature: { draggable: true, coordinates: { resizable: "center" } } },
        },
      }),
    ],
  });
  draw.start();
  hatch(map);

  function put(shape) {
    hole = false;
    draw.clear();
    draw.setMode("select");
    has = shape;
    if (!shape) return;
    frame.meridian = shape.geometry.type === "Point" ? meridianAt(shape.geometry.coordinates[0]) : middleOf(shape.geometry);
    const added = draw.addFeatures(ringsOf(shape, frame.meridian));
    const refused = added.find((each) => !each.valid);
    if (refused) throw new Error(`This shape can't be edited on the map: ${refused.reason}`);
    draw.selectFeature(added[0].id);
  }

  draw.on("finish", (id, { action }) => {
    const before = has;
    try {
      if (action === "draw" && hole) draw.updateFeatureProperties(id, { role: "hole" });
      has = shapeOf(draw.getSnapshot(), frame.meridian);
      onShape(has);
      if (action === "draw") {
        hole = false;
        draw.setMode("select");
        draw.selectFeature(id);
      }
    } catch (error) {
      put(before);
      onProblem(error);
    }
  });

  return {
    /** Begin a shape with one of the tools; what there was goes. */
    begin(tool) {
      put(null);
      frame.meridian = meridianAt(wrapped(map.getCenter().lng));
      draw.setMode(TOOLS[tool]);
    },
    /** Draw another part of the same zone. */
    part() {
      hole = false;
      draw.setMode("polygon");
    },
    /** Draw a hole into what there is. */
    cut() {
      hole = true;
      draw.setMode("polygon");
    },
    /** End what is being drawn; what there was stays. */
    end() {
      hole = false;
      draw.setMode("select");
    },
    /**
     * Show a shape so that its vertices can be moved.
     *
     * @returns {boolean} Whether it can be shown here: a circle over a pole is no ring on a map.
     */
    show(shape) {
      if (sameShape(shape, has)) return true;
      if (shape.geometry.type === "Point" && overPole(shape.geometry.coordinates, shape.radius)) {
        put(null);
        return false;
      }
      try {
        put({ geometry: shape.geometry, radius: shape.radius });
        return true;
      } catch (error) {
        put(null);
        onProblem(error);
        return false;
      }
    },
    /** Show the vertices of one ring: the outline (0) or a hole of a part. */
    choose(part, at) {
      const wanted = polygons(has.geometry)[part][at];
      const [corner] = turned([rounded(wanted[0])], -frame.meridian).map(rounded);
      const found = draw.getSnapshot().find(
        ({ geometry, properties }) =>
          geometry.type === "Polygon" &&
          (properties.role === "hole") === at > 0 &&
          geometry.coordinates[0].length === wanted.length &&
          String(geometry.coordinates[0][0]) === String(corner),
      );
      draw.setMode("select");
      if (found) draw.selectFeature(found.id);
    },
    clear() {
      put(null);
    },
    stop() {
      map.removeLayer(HATCH);
      draw.stop();
    },
  };
}
