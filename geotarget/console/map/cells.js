// H3 cells of one zone under what is drawn: filled where they lie in it whole, else only outlined.

const SOURCE = "h3-cells";
const LAYERS = [
  { id: "h3-fill", type: "fill", paint: { "fill-color": "#0b7a55", "fill-opacity": ["case", ["get", "whole"], 0.22, 0.05] } },
  { id: "h3-line", type: "line", paint: { "line-color": "#0b7a55", "line-width": 1, "line-opacity": ["case", ["get", "whole"], 0.9, 0.6] } },
];

const drawable = (cells) => ({
  type: "FeatureCollection",
  features: cells.map(({ cell, whole, outline }) => ({
    type: "Feature",
    properties: { cell, whole },
    geometry: { type: "Polygon", coordinates: [outline] },
  })),
});

/**
 * A place for cells on a map.
 *
 * @param map - Of MapLibre, with its style loaded.
 * @returns {(cells: {cell: string, whole: boolean, outline: number[][]}[]) => void} What shows cells.
 */
export function cellsOn(map) {
  map.addSource(SOURCE, { type: "geojson", data: drawable([]), tolerance: 0.1 });
  for (const layer of LAYERS) map.addLayer({ ...layer, source: SOURCE });
  return (cells) => map.getSource(SOURCE)?.setData(drawable(cells));
}
