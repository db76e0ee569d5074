// Those who got offers against those who were held out: the groups, and between which bounds the
// difference lies, also while it is too early to tell.

import { html } from "../vendor/preact.js";
import { count, money, share } from "../format.js";
import { Name } from "../parts/parts.js";

const FAR = 1;

export const VERDICTS = {
  gain: { kind: "good", icon: "trending-up", words: "A gain" },
  loss: { kind: "bad", icon: "triangle-alert", words: "A loss" },
  same: { kind: "", icon: "minus", words: "No difference" },
  early: { kind: "", icon: "clock", words: "Too early" },
};

const change = (part) => (part == null ? "any more" : `${share(Math.abs(part), 0)} ${part < 0 ? "less" : "more"}`);

/** Groups and bounds of a comparison and of its variants. */
export function Lift({ comparison, variants, currency }) {
  const { treated, held_out: held } = comparison;
  const rows = [["", "Got offers", treated], ...variants.map((each) => [each.variant, each.variant, each.treated])];
  if (held.people !== 0) rows.push(["", "Held out", held]);
  return html`<div class="lift">
    <div class="scroll"><table>
      <caption class="unseen">Those who got offers against those who were held out</caption>
      <thead><tr><th scope="col">Group</th>${["People", "Converted", "Rate", "Spent by each"].map((words) => html`<th scope="col" class="right" key=${words}>${words}</th>`)}</tr></thead>
      <tbody>
        ${rows.map(
          ([variant, words, group]) => html`<tr key=${words}>
            <th scope="row">${variant ? html`<span class="faint">of them </span><${Name}>${words}<//>` : words}</th>
            <td class="right">${count(group.people)}</td>
            <td class="right">${count(group.converted)}</td>
            <td class="right">${share(group.rate)}</td>
            <td class="right">${money(group.spent, currency)}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>
    ${comparison.lift_interval && held.people > 0 && html`<${Between} comparison=${comparison} />`}
    <p class="faint">Of the campaign's whole life: everybody whom the audience let pass, each once, with whatever they bought afterwards.</p>
  </div>`;
}

/** Where the true difference lies, 95 times in 100, as a bar around "no difference". */
function Between({ comparison }) {
  const { low, high } = comparison.lift_interval;
  const place = (part) => 50 + (50 * Math.max(-FAR, Math.min(FAR, part ?? FAR))) / FAR;
  const [from, to] = [place(low), place(high)];
  const { lift, extra, extra_interval: extras } = comparison;
  return html`<div class="between">
    <p>With the campaign, ${lift == null ? "conversions differ" : `${change(lift)} converted than without it`}; the truth lies between <strong>${change(low)}</strong> and <strong>${change(high)}</strong>, 95 times in 100.</p>
    <svg viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true">
      <rect class="rail" y="6" width="100" height="10" />
      <rect class="bar" x=${from} y="6" width=${Math.max(0.5, to - from)} height="10" />
      ${lift != null && html`<line class="seen" x1=${place(lift)} x2=${place(lift)} y1="6" y2="16" />`}
      <line class="none" x1="50" x2="50" y1="0" y2="22" />
    </svg>
    <div class="ends" aria-hidden="true"><span>100% less</span><span>No difference</span><span>100% more, or above</span></div>
    ${comparison.verdict === "gain" && extra != null && html`<p>That is about ${count(extra)} people who would not have come otherwise (${count(extras.low)} to ${count(extras.high)}).</p>`}
  </div>`;
}
