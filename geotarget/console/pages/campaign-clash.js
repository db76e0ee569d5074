// Two people at one campaign: what somebody else changed since it was opened here.

import { html } from "../vendor/preact.js";
import { all, get } from "../api.js";
import { ago, instant } from "../format.js";
import { Name, useAnswer } from "../parts/parts.js";
import { address } from "./campaign-actions.js";
import { Changes } from "./campaign-versions.js";
import { changes } from "./campaign-words.js";
import { Clashing } from "./clash.js";

async function latest(id, signal) {
  const { items } = await get(`${address(id)}/versions`, { limit: 1 }, { signal });
  const there = (await all("/v1/campaigns")).some((each) => each.id === id);
  return { ...items[0], there };
}

/**
 * @param {{opened: object, onStay: () => void, onReload: () => void, onOver: (version: number) => void}} properties
 *   `opened` is what was looked at; `onOver` hears what is to be replaced, 0 for nothing.
 */
export function Clash({ opened, onStay, onReload, onOver }) {
  const { value, error, waiting, again } = useAnswer((signal) => latest(opened.id, signal), [opened.id]);
  const found = value?.there ? changes(opened, value.campaign) : [];
  const over = () => onOver(value.there ? value.version : 0);
  return html`<${Clashing} what="campaign" there=${value?.there} ...${{ error, waiting, again, onStay, onReload, onOver: over }}>
    ${value?.there &&
    html`<p><strong><${Name}>${value.by || "Somebody"}<//></strong> saved version ${value.version}, <time datetime=${value.stored} title=${instant(value.stored)}>${ago(value.stored)}</time>. You were changing version ${opened.version}, and nothing of yours is saved yet.</p>
      ${found.length > 0 && html`<h3>What they changed</h3><${Changes} found=${found} version=${value.version} />`}`}
  <//>`;
}
