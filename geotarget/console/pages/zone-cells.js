// The H3 cells of the zone as it is drawn now, on demand: on the map, and how many at which resolution.

import { html, useEffect, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { count, many } from "../format.js";
import { Button, Select, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { useDraft } from "./zone-expectations.js";

const GEOJSON = { type: "application/geo+json" };

/** One step finer than what is shown by itself still fits into an answer. */
const choices = (automatic) =>
  Array.from({ length: Math.min(automatic + 1, 15) + 1 }, (_, each) => [String(each), `${each}${each === automatic ? " (automatic)" : ""}`]);

/** @param {{form, onCells: (cells: object[]) => void}} properties `onCells` shows them on the map. */
export function ZoneCells({ form, onCells }) {
  const draft = useDraft(form);
  const [on, setOn] = useState(false);
  const [chosen, setChosen] = useState({ draft, resolution: null });
  const resolution = chosen.draft === draft ? chosen.resolution : null;
  const [automatic, setAutomatic] = useState(null);
  const { value, error, waiting, again } = useAnswer(
    async (signal) =>
      on ? post(`/v1/zones:cells?outlines=true${resolution === null ? "" : `&resolution=${resolution}`}`, draft, { ...GEOJSON, signal }) : null,
    [draft, on, resolution],
  );
  const shown = on ? value : null;
  useEffect(() => {
    onCells(shown ? shown.cells : []);
    if (shown && resolution === null && !waiting) setAutomatic(shown.resolution);
  }, [shown, waiting]);
  useEffect(() => () => onCells([]), []);
  return html`<section class="stack">
    <div class="row spread">
      <h2>H3 cells</h2>
      <${Button} kind="small" icon="hexagon" aria-pressed=${on} onClick=${() => setOn(!on)}>Show H3 cells<//>
    </div>
    ${on && waiting && !shown && html`<${Waiting} what="Looking for cells" />`}
    ${on && html`<${Trouble} error=${error} again=${again} />`}
    ${shown &&
    automatic !== null &&
    html`<${Select} label="Resolution" options=${choices(automatic)} value=${String(shown.resolution)} onValue=${(given) => setChosen({ draft, resolution: Number(given) })} />
      <p role="status">Resolution ${shown.resolution}: ${many(shown.count, "cell")}, ${count(shown.whole)} of them wholly inside.</p>`}
  </section>`;
}
