// GeoJSON files into zones: dropped, chosen or pasted. What can't be taken is told line by line,
// with the path to it; everything else is taken.

import { html, useState } from "../vendor/preact.js";
import { post } from "../api.js";
import { loadZones } from "../catalogue.js";
import { many } from "../format.js";
import { Area, Button, Dialog, Icon, Name, Trouble } from "../parts/parts.js";

/** Whether a text could still become JSON if more came. */
function isBeginning(text) {
  try {
    JSON.parse(text);
    return true;
  } catch ({ message }) {
    const at = /position (\d+)/.exec(message);
    return /end of JSON|Unterminated/.test(message) || (at !== null && Number(at[1]) >= text.length);
  }
}

/** Where a text stops being JSON, in words. Browsers don't always say, so it is halved until found. */
function placeOf(text) {
  let [good, bad] = [0, text.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isBeginning(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  const before = text.slice(0, good).split("\n");
  return `Line ${before.length}, column ${before.at(-1).length + 1}`;
}

export function ZoneImport({ onClose }) {
  const [text, setText] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [error, setError] = useState(null);
  const [report, setReport] = useState(null);

  const take = async (file) => {
    setError(null);
    setReport(null);
    setName(file.name);
    setText(await file.text());
  };
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
      setReport(await post("/v1/zones", text, { type: "application/geo+json" }));
      await loadZones();
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  const drop = (event) => {
    event.preventDefault();
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
      onDragOver=${(event) => (event.preventDefault(), setOver(true))}
      onDragLeave=${() => setOver(false)}
      onDrop=${drop}
    >
      <${Icon} name="upload" />
      <span>${name ? html`<${Name}>${name}<//>` : "Drop a GeoJSON file here, or choose one"}</span>
      <input type="file" class="unseen" accept=".geojson,.json,application/geo+json" onChange=${(event) => event.target.files[0] && take(event.target.files[0])} />
    </label>
    <${Area} label="GeoJSON" code hint="A Feature or a FeatureCollection, longitude before latitude (RFC 7946). Every feature needs an id." value=${text.length > 200_000 ? `${text.slice(0, 200_000)} …` : text} readonly=${text.length > 200_000} onValue=${setText} />
    <${Trouble} error=${error} />
    ${report && html`<${Report} report=${report} />`}
  <//>`;
}

function Report({ report }) {
  return html`<div class="stack" role="status">
    <div class=${report.rejected.length ? "notice warn" : "notice good"}>
      <${Icon} name=${report.rejected.length ? "triangle-alert" : "circle-check"} />
      <div>
        ${many(report.accepted, "zone was", "zones were")} imported${report.rejected.length ? html`, ${many(report.rejected.length, "feature", "features")} refused:` : "."}
      </div>
    </div>
    ${report.rejected.length > 0 &&
    html`<div class="scroll"><table>
      <caption class="unseen">Features that were refused</caption>
      <thead><tr><th scope="col">Feature</th><th scope="col">Where</th><th scope="col">What is wrong</th></tr></thead>
      <tbody>
        ${report.rejected.flatMap((each) =>
          each.errors.map(
            (found) => html`<tr key=${`${each.index} ${found.path}`}>
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
