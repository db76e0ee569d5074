// Two people at one thing: what somebody else stored since it was opened here, and the ways on.

import { html } from "../vendor/preact.js";
import { Button, Dialog, Trouble, Waiting } from "../parts/parts.js";

/**
 * @param {{what: string, there: boolean | undefined, error: Error | null, waiting: boolean, again: () => void,
 *   onStay: () => void, onReload: () => void, onOver: () => void, children: any}} properties
 *   `there`: whether it still is; undefined while nobody knows. `onOver` replaces what is there, or makes it again.
 */
export function Clashing({ what, there, error, waiting, again, onStay, onReload, onOver, children }) {
  const known = there !== undefined;
  const foot = html`<${Button} onClick=${onStay}>Keep editing<//>
    ${known && html`<${Button} kind="danger" icon="save" onClick=${onOver}>${there ? "Save mine over it" : "Make it again"}<//>`}
    ${there && html`<${Button} kind="main" icon="refresh-cw" onClick=${onReload}>Load theirs<//>`}`;
  return html`<${Dialog} wide title=${known && !there ? `Somebody has deleted this ${what}` : "Somebody else was first"} onClose=${onStay} foot=${foot}>
    ${!known && waiting && html`<${Waiting} what="Looking what changed" />`}
    <${Trouble} error=${error} again=${again} />
    ${there && children}
    ${known && !there && html`<p>What you have typed is still here. Nothing of it is saved.</p>`}
  <//>`;
}
