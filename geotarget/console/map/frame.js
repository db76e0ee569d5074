// A drawing tool that knows no longitude beyond 180, on a map that does: it works around a meridian
// of its own, and everything is turned on its way in and out.

import { TerraDrawMapLibreGLAdapter } from "../vendor/terra-draw.js";
import { wrapped } from "./seam.js";

const TURN = 360;

/** Coordinates, however deep, moved to the east. */
export const turned = (coordinates, by) =>
  typeof coordinates[0] === "number"
    ? [coordinates[0] + by, coordinates[1]]
    : coordinates.map((each) => turned(each, by));

/** What lies between the tool and the map; `meridian` is where the tool's longitude is 0. */
export class Frame extends TerraDrawMapLibreGLAdapter {
  constructor(settings) {
    super(settings);
    this.map = settings.map;
    this.meridian = 0;
  }

  /** Where a place of the tool is on the screen: of its copies around the world the one in view. */
  project(lng, lat) {
    const there = lng + this.meridian;
    const copy = TURN * Math.round((this.map.getCenter().lng - there) / TURN);
    return super.project(there + copy, lat);
  }

  /** The tool's place of a point on the screen. */
  unproject(x, y) {
    const { lng, lat } = super.unproject(x, y);
    return { lng: wrapped(lng - this.meridian), lat };
  }

  render(changes, styling) {
    const { meridian } = this;
    const onMap = (features) =>
      meridian
        ? features.map((feature) => ({
            ...feature,
            properties: { ...feature.properties },
            geometry: { ...feature.geometry, coordinates: turned(feature.geometry.coordinates, meridian) },
          }))
        : features;
    const { created, updated, unchanged } = changes;
    super.render(
      { ...changes, created: onMap(created), updated: onMap(updated), unchanged: onMap(unchanged) },
      styling,
    );
  }
}
