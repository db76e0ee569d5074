// Renews ../vendor from the packages that package.json pins: `npm ci --ignore-scripts && npm run build`.
// Only a maintainer runs it. What it makes is committed, so that nobody else needs Node.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const OUT = join(HERE, "..", "vendor");
const packages = (name, ...rest) => join(HERE, "node_modules", name, ...rest);

const BUNDLES = {
  "preact.js": `
    export * from "preact";
    export * from "preact/hooks";
    export { signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect }
      from "@preact/signals";
    import { h } from "preact";
    import htm from "htm";
    export const html = htm.bind(h);`,
  "terra-draw.js": `
    export { TerraDraw, TerraDrawPolygonMode, TerraDrawRectangleMode, TerraDrawFreehandMode,
      TerraDrawCircleMode, TerraDrawSelectMode, TerraDrawRenderMode } from "terra-draw";
    export { TerraDrawMapLibreGLAdapter } from "terra-draw-maplibre-gl-adapter";`,
  "uplot.js": `export { default } from "uplot";`,
  "pmtiles.js": `export { Protocol } from "pmtiles";`,
  "topojson.js": `export { feature, mesh } from "topojson-client";`,
};

const COPIES = {
  "maplibre-gl.mjs": ["maplibre-gl", "dist/maplibre-gl.mjs"],
  "maplibre-gl-worker.mjs": ["maplibre-gl", "dist/maplibre-gl-worker.mjs"],
  "maplibre-gl.css": ["maplibre-gl", "dist/maplibre-gl.css"],
  "uplot.css": ["uplot", "dist/uPlot.min.css"],
  "inter-latin.woff2": ["@fontsource-variable/inter", "files/inter-latin-wght-normal.woff2"],
  "inter-latin-ext.woff2": ["@fontsource-variable/inter", "files/inter-latin-ext-wght-normal.woff2"],
};

const ICONS = readFileSync(join(HERE, "icons.txt"), "utf8").split(/\s+/).filter(Boolean);

function sprite() {
  const symbols = ICONS.map((name) => {
    const svg = readFileSync(packages("lucide-static", "icons", `${name}.svg`), "utf8");
    const inner = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" ` +
      `stroke-width="2" stroke-linecap="round" stroke-linejoin="round">` +
      `${inner.replace(/\s*\n\s*/g, "")}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}

function licences(used) {
  const parts = used.map((name) => {
    const folder = packages(name);
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
    return `${name} ${version}\n${"-".repeat(name.length + version.length + 1)}\n\n${text}\n`;
  });
  return `${parts.join("\n\n")}`;
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const used = new Set(["maplibre-gl", "uplot", "@fontsource-variable/inter", "lucide-static"]);
for (const [name, contents] of Object.entries(BUNDLES)) {
  const { metafile } = await build({
    stdin: { contents, resolveDir: HERE },
    bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none",
    outfile: join(OUT, name), metafile: true,
  });
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input);
    if (found) used.add(found[1]);
  }
}
for (const [name, [from, file]] of Object.entries(COPIES)) {
  copyFileSync(packages(from, file), join(OUT, name));
}
for (const name of readdirSync(OUT)) { // no source maps are shipped
  if (!/\.m?js$/.test(name)) continue;
  const text = readFileSync(join(OUT, name), "utf8");
  writeFileSync(join(OUT, name), text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"));
}
writeFileSync(join(OUT, "icons.svg"), sprite());
const names = [...used].sort();
writeFileSync(join(OUT, "LICENCES.txt"), licences(names));
const versions = Object.fromEntries(names.map((name) =>
  [name, JSON.parse(readFileSync(packages(name, "package.json"), "utf8")).version]));
const files = Object.fromEntries(readdirSync(OUT).sort().map((name) =>
  [name, createHash("sha256").update(readFileSync(join(OUT, name))).digest("hex")]));
writeFileSync(join(OUT, "manifest.json"), `${JSON.stringify({ versions, files }, null, 2)}\n`);
console.log(`${Object.keys(files).length} files, ${names.length} packages`);
