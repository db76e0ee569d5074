// Zones as a GeoJSON file, as an import takes them.

/** Let the browser save zones; their revisions are this server's own and stay here. */
export function download(zones, name = "zones.geojson") {
  const features = zones.map(({ type, id, geometry, properties }) => ({ type, id, geometry, properties }));
  const file = new Blob([JSON.stringify({ type: "FeatureCollection", features }, null, 1)], { type: "application/geo+json" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: name.replaceAll("/", "-") });
  link.click();
  URL.revokeObjectURL(link.href);
}
