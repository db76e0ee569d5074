// How many devices were where a zone is drawn, and what is wrong with it as it is now. Asked when the
// drawing rests: each answer costs the server up to a second.

import { html, useEffect, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { around, area } from "../map/plane.js";
import { may } from "../session.js";
import { Icon, Trouble, useAnswer, Waiting } from "../parts/parts.js";

const RESTS_MS = 350;
const GEOJSON = { type: "application/geo+json" };
const CELL_M2 = 105_000; // of resolution 9, by which devices are counted
const MOST_CELLS = 5_000;

/** The form as a draft, once it has not changed for a moment. */
export function useDraft(form) {
  const draft = {
    type: "Feature",
    id: form.id || "drawn",
    geometry: form.geometry,
    properties: { entry: form.entry, ...(form.geometry.type === "Point" ? { radius_m: form.radius } : {}) },
  };
  const now = JSON.stringify(draft);
  const [rests, setRests] = useState(now);
  useEffect(() => {
    if (now === rests) return undefined;
    const timer = setTimeout(() => setRests(now), RESTS_MS);
    return () => clearTimeout(timer);
  }, [now, rests]);
  return rests;
}

/** Whether devices are counted for a shape of this size; about, and rather not. */
function countable({ geometry, properties }) {
  const radius = properties.radius_m;
  const [size, length] = radius === undefined ? [area(geometry), around(geometry)] : [Math.PI * radius ** 2, 2 * Math.PI * radius];
  return size / CELL_M2 + (2 * length) / Math.sqrt(CELL_M2) < MOST_CELLS;
}

export function Expectations({ form }) {
  const draft = useDraft(form);
  const counts = may("reports:read");
  const small = countable(JSON.parse(draft));
  const reach = useAnswer(
    async (signal) => (counts && small ? post("/v1/zones:reach", draft, { ...GEOJSON, signal }) : null),
    [draft, counts],
  );
  const lint = useAnswer((signal) => post("/v1/zones:lint", draft, { ...GEOJSON, signal }), [draft]);
  return html`<section class="stack" aria-live="polite" aria-busy=${reach.waiting || lint.waiting}>
    <h2>What to expect</h2>
    ${(reach.waiting || lint.waiting) && !reach.value && !lint.value && html`<${Waiting} what="Looking at what was seen here" />`}
    ${reach.value && html`<p>${reach.value.sentence}</p>`}
    ${counts && !small && html`<p class="faint">Devices are counted for zones of up to some 400 km²: this one is larger.</p>`}
    ${lint.value && html`<p>${lint.value.sentence}</p>`}
    ${lint.value?.findings.map(
      (found) =>
        html`<p class=${`notice ${found.severity === "hint" ? "" : "warn"}`} key=${found.code + found.text}>
          <${Icon} name=${found.severity === "hint" ? "info" : "triangle-alert"} />${found.text}
        </p>`,
    )}
    <${Trouble} error=${lint.error || reach.error} />
  </section>`;
}
