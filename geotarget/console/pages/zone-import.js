// GeoJSON files into zones: dropped, chosen or pasted. What can't be taken is told line by line,
// with the path to it; everything else is taken. Nothing is sent that is not JSON.

import { html, useEffect, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { loadZones } from "../catalogue.js";
import { count, many } from "../format.js";
import { Area, Button, Dialog, Icon, Name, Trouble } from "../parts/parts.js";
import { linesOf, placeOf } from "./zone-lines.js";

const LONGEST = 200_000; // characters that are shown for editing

/** @param {{file?: File, onClose: () => void}} properties `file`: one that was dropped already. */
export function ZoneImport({ file, onClose }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [error, setError] = useState(null);
  const [report, setReport] = useState(null);

  const take = async (given) => {
    setError(null);
    setReport(null);
    setName(given.name);
    setText(await given.text());
  };
  useEffect(() => void (file && take(file)), [file]);
  const send = async () => {
    setError(null);
    setReport(null);
    try {
      JSON.parse(text);
    } catch (wrong) {
      setError(new Error(`${placeOf(text)}: this is not JSON (${wrong.message}).`));
      return;
    }
    setBusy(true);
    try {
      const answer = await post("/v1/zones", text, { type: "application/geo+json" });
      setReport({ ...answer, line: linesOf(text) });
      await loadZones();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const drop = (event) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  };
  return html`<${Dialog}
    title="Import zones"
    wide
    onClose=${onClose}
    foot=${html`
      <${Button} onClick=${onClose}>Close<//>
      <${Button} kind="main" icon="upload" busy=${busy} disabled=${!text.trim()} onClick=${send}>Import<//>
    `}
  >
    <label
      class=${over ? "drop over" : "drop"}
      onDragOver=${(event) => (event.preventDefault(), event.stopPropagation(), setOver(true))}
      onDragLeave=${() => setOver(false)}
      onDrop=${drop}
    >
      <${Icon} name="upload" />
      <span>${name ? html`<${Name}>${name}<//>` : "Drop a GeoJSON file here, or choose one"}</span>
      <input type="file" class="unseen" accept=".geojson,.json,application/geo+json" onChange=${(event) => event.target.files[0] && take(event.target.files[0])} />
    </label>
    <${Area} label="GeoJSON" code hint="A Feature or a FeatureCollection, longitude before latitude (RFC 7946). Every feature needs an id." value=${text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text} readonly=${text.length > LONGEST} onValue=${setText} />
    <${Trouble} error=${error} />
    ${report && html`<${Report} report=${report} />`}
  <//>`;
}

function Report({ report }) {
  return html`<div class="stack" role="status">
    <div class=${report.rejected.length ? "notice warn" : "notice good"}>
      <${Icon} name=${report.rejected.length ? "triangle-alert" : "circle-check"} />
      <div>
        ${many(report.accepted, "zone was", "zones were")} imported${report.rejected.length ? html`, ${many(report.rejected_count, "feature")} refused${report.rejected_count > report.rejected.length ? `; the first ${count(report.rejected.length)}` : ""}:` : "."}
      </div>
    </div>
    ${report.rejected.length > 0 &&
    html`<div class="scroll"><table>
      <caption class="unseen">Features that were refused</caption>
      <thead><tr><th scope="col">Line</th><th scope="col">Feature</th><th scope="col">Where</th><th scope="col">What is wrong</th></tr></thead>
      <tbody>
        ${report.rejected.flatMap((each) =>
          each.errors.map(
            (found) => html`<tr key=${`${each.index} ${found.path}`}>
              <td class="right">${count(report.line(found.path))}</td>
              <th scope="row">${each.index + 1}${each.id && html`, <${Name}>${each.id}<//>`}</th>
              <td><code class="long">${found.path}</code></td>
              <td>${found.reason}${found.value && html` <span class="faint">(${found.value})</span>`}</td>
            </tr>`,
          ),
        )}
      </tbody>
    </table></div>`}
  </div>`;
}
