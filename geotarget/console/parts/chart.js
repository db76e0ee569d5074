// Series over days, drawn by uPlot in the colours of the theme; the numbers stand in a table below
// it, for those who can't see a line.

import { html, useEffect, useRef } from "../vendor/preact.js";
import uPlot from "../vendor/uplot.js";
import { count, date, day, moment } from "../format.js";
import { theme } from "../theme.js";

const HEIGHT = 220;
const STEPS_S = [1, 2, 7, 14, 28, 91, 182].map((days) => days * 86_400);
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Lines over days.
 *
 * @param {{label: string, days: string[], series: {name: string, values: (number|null)[]}[]}} properties
 */
export function Lines({ label, days, series }) {
  const element = useRef();
  useEffect(() => {
    const box = element.current;
    const font = `12px ${token("--font")}`;
    const grid = { stroke: token("--line"), width: 1 };
    const axis = { stroke: token("--ink-3"), font, grid, ticks: grid };
    const chart = new uPlot(
      {
        width: box.clientWidth,
        height: HEIGHT,
        cursor: { points: { size: 7 } },
        legend: { live: false },
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
        axes: [{ ...axis, grid: { show: false }, size: 32, space: 64, incrs: STEPS_S, values: (_, all) => all.map((each) => date(each * 1000)) }, { ...axis, size: 46, values: (_, all) => all.map((each) => count(each)) }],
        series: [
          {},
          ...series.map(({ name }, position) => ({
            label: name,
            stroke: token(`--series-${position + 1}`),
            width: 2,
            points: { show: days.length < 15, size: 6 },
          })),
        ],
      },
      [days.map((each) => moment(each) / 1000), ...series.map(({ values }) => values)],
      box,
    );
    const watch = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: HEIGHT }));
    watch.observe(box);
    return () => {
      watch.disconnect();
      chart.destroy();
    };
  }, [theme.value, JSON.stringify([days, series])]);
  return html`<figure class="chart">
    <div ref=${element} role="img" aria-label=${`${label}: ${series.map(({ name }) => name).join(", ")} from ${day(days[0])} to ${day(days.at(-1))}; the numbers are in the table below.`}></div>
    <details>
      <summary>As a table</summary>
      <div class="scroll"><table>
        <caption class="unseen">${label}</caption>
        <thead><tr><th scope="col">Day</th>${series.map(({ name }) => html`<th scope="col" class="right" key=${name}>${name}</th>`)}</tr></thead>
        <tbody>
          ${days.map((each, position) => html`<tr key=${each}><th scope="row">${day(each)}</th>${series.map(({ name, values }) => html`<td class="right" key=${name}>${count(values[position])}</td>`)}</tr>`)}
        </tbody>
      </table></div>
    </details>
  </figure>`;
}

/** Bars of a handful of things, as a list: each with its words, its number and its length. */
export function Bars({ label, items, format = count }) {
  const most = Math.max(1, ...items.map(({ value }) => value || 0));
  return html`<ul class="bars" aria-label=${label}>
    ${items.map(
      ({ words, value, note }) => html`<li key=${words}>
        <span class="words">${words}</span>
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="rail" width="100" height="10" rx="0" /><rect class="bar" width=${(100 * (value || 0)) / most} height="10" /></svg>
        <span class="number">${format(value)}${note && html`<small>${note}</small>`}</span>
      </li>`,
    )}
  </ul>`;
}

/** A share as a short bar with its words beside it. */
export const Share = ({ part, words }) => html`<span class="share">
  <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="rail" width="100" height="8" /><rect class="bar" width=${100 * Math.min(1, part)} height="8" /></svg>
  <span class="number">${words}</span>
</span>`;
