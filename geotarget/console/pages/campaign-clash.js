// Two people at one campaign: what somebody else stored since it was opened here, and the ways on.

import { html } from "../vendor/preact.js";
import { all, get } from "../api.js";
import { ago, instant } from "../format.js";
import { Button, Dialog, Name, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { address } from "./campaign-actions.js";
import { Changes } from "./campaign-versions.js";
import { changes } from "./campaign-words.js";

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
  const foot = html`<${Button} onClick=${onStay}>Keep editing<//>
    ${value && html`<${Button} kind="danger" icon="save" onClick=${() => onOver(value.there ? value.version : 0)}>${value.there ? "Save mine over it" : "Make it again"}<//>`}
    ${value?.there && html`<${Button} kind="main" icon="refresh-cw" onClick=${onReload}>Load theirs<//>`}`;
  return html`<${Dialog} wide title=${value && !value.there ? "Somebody has deleted this campaign" : "Somebody else was first"} onClose=${onStay} foot=${foot}>
    ${!value && waiting && html`<${Waiting} what="Looking what changed" />`}
    <${Trouble} error=${error} again=${again} />
    ${value?.there &&
    html`<p><strong><${Name}>${value.by || "Somebody"}<//></strong> saved version ${value.version}, <time datetime=${value.stored} title=${instant(value.stored)}>${ago(value.stored)}</time>. You were changing version ${opened.version}, and nothing of yours is saved yet.</p>
      ${found.length > 0 && html`<h3>What they changed</h3><${Changes} found=${found} version=${value.version} />`}`}
    ${value && !value.there && html`<p>What you have typed is still here. Nothing of it is saved.</p>`}
  <//>`;
}
