// Drawing on a board: outlines, circles and holes by mouse or touch; vertices that can be moved.
//
// The tool keeps rings. What it has is told after every finished change, as one geometry with its
// holes, or as a centre and a radius.

import {
  TerraDraw,
  TerraDrawCircleMode,
  TerraDrawFreehandMode,
  TerraDrawMapLibreGLAdapter,
  TerraDrawPolygonMode,
  TerraDrawRectangleMode,
  TerraDrawSelectMode,
} from "../vendor/terra-draw.js";
import { apart, circle, together } from "./rings.js";

const PRECISION = 7;
const TOOLS = { polygon: "polygon", rectangle: "rectangle", circle: "circle", freehand: "freehand" };
const VERTICES = { feature: { draggable: true, coordinates: { midpoints: true, draggable: true, deletable: true } } };

/** What the tool has, as a zone's shape. */
function shapeOf(features) {
  const rings = features.filter(
    ({ geometry, properties }) => geometry.type === "Polygon" && properties.mode in TOOLS && !properties.currentlyDrawing,
  );
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
  return [mean(0), mean(1)].map((value) => Number(value.toFixed(PRECISION)));
}

/**
 * Draw on a map.
 *
 * @param map - Of MapLibre, with its style loaded.
 * @param {(shape: {geometry, radius} | null) => void} onShape - After every finished change.
 * @param {(error: Error) => void} onProblem - A ring that can't be part of the zone; it is dropped.
 */
export function drawOn(map, onShape, onProblem) {
  const draw = new TerraDraw({
    adapter: new TerraDrawMapLibreGLAdapter({ map, coordinatePrecision: PRECISION }),
    modes: [
      new TerraDrawPolygonMode(),
      new TerraDrawRectangleMode(),
      new TerraDrawCircleMode(),
      new TerraDrawFreehandMode(),
      new TerraDrawSelectMode({
        flags: {
          polygon: VERTICES,
          rectangle: VERTICES,
          freehand: VERTICES,
          circle: { feature: { draggable: true, coordinates: { resizable: "center" } } },
        },
      }),
    ],
  });
  let hole = false;
  draw.start();

  const tell = () => onShape(shapeOf(draw.getSnapshot()));
  draw.on("finish", (id, { action }) => {
    try {
      if (action === "draw" && hole) draw.updateFeatureProperties(id, { role: "hole" });
      tell();
    } catch (error) {
      draw.removeFeatures([id]);
      onProblem(error);
    }
    if (action === "draw") {
      hole = false;
      draw.setMode("select");
    }
  });

  return {
    /** Begin a shape with one of the tools; what there was goes. */
    begin(tool) {
      hole = false;
      draw.clear();
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
    /** Show a shape so that its vertices can be moved. */
    show({ geometry, radius }) {
      hole = false;
      draw.clear();
      const features =
        geometry.type === "Point"
          ? [{
              type: "Feature",
              properties: { mode: "circle", radiusKilometers: radius / 1000 },
              geometry: circle(geometry.coordinates, radius),
            }]
          : apart(geometry);
      const added = draw.addFeatures(features);
      const refused = added.find((each) => !each.valid);
      if (refused) throw new Error(`This shape can't be edited on the map: ${refused.reason}`);
      draw.setMode("select");
      draw.selectFeature(added[0].id);
    },
    clear() {
      draw.clear();
      draw.setMode("select");
    },
    stop() {
      draw.stop();
    },
  };
}
