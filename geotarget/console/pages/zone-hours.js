// At which hours of the day people come: a column an hour, and the numbers in a table below.

import { html } from "../vendor/preact.js";
import { count } from "../format.js";

const HEIGHT = 100;
const WIDTH = 10;
const time = (key) => `${key.padStart(2, "0")}:00`;

export function Hours({ hours }) {
  const most = Math.max(1, ...hours.map(({ visits }) => visits || 0));
  const busiest = hours.find(({ visits }) => visits === most);
  return html`<figure class="chart hours">
    <svg viewBox=${`0 0 ${WIDTH * hours.length} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${busiest ? `Visits by hour, most of them at ${time(busiest.key)}: ${count(most)}. The numbers are in the table below.` : "Visits by hour: too few to be shown."}>
      ${hours.map(({ key, visits }, position) => {
        const height = (HEIGHT * (visits || 0)) / most;
        return html`<g key=${key}>
          <rect class="rail" x=${WIDTH * position + 1} width=${WIDTH - 2} height=${HEIGHT}><title>${`${time(key)}: ${count(visits)}`}</title></rect>
          <rect class="bar" x=${WIDTH * position + 1} y=${HEIGHT - height} width=${WIDTH - 2} height=${height}><title>${`${time(key)}: ${count(visits)}`}</title></rect>
        </g>`;
      })}
    </svg>
    <div class="ticks" aria-hidden="true">${hours.filter((_, position) => position % 6 === 0).map(({ key }) => html`<span key=${key}>${time(key)}</span>`)}</div>
    <details>
      <summary>As a table</summary>
      <div class="scroll"><table>
        <caption class="unseen">Visits by hour</caption>
        <thead><tr><th scope="col">From</th><th scope="col" class="right">Visits</th></tr></thead>
        <tbody>${hours.map(({ key, visits }) => html`<tr key=${key}><th scope="row">${time(key)}</th><td class="right">${count(visits)}</td></tr>`)}</tbody>
      </table></div>
    </details>
  </figure>`;
}
