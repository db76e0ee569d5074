// How a campaign came to be what it is: each version, who made it, what changed, and the way back.

import { html, useState } from "../vendor/preact.js";
import { get, put, seen } from "../api.js";
import { ago, full, many } from "../format.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { usePages } from "../parts/list.js";
import { Button, Dialog, Empty, Icon, Name, Tag, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { address, editing, warn, Warnings } from "./campaign-actions.js";
import { documentIn } from "./campaign-draft.js";
import { useArrival } from "./campaign-parts.js";
import { changes, STATUS } from "./campaign-words.js";

export function CampaignVersions({ id }) {
  const heading = useArrival();
  const pages = usePages(`${address(id)}/versions`, {}, 50);
  const current = useAnswer((signal) => get(address(id), {}, { signal }).catch((error) => (error.status === 404 ? null : Promise.reject(error))), [id]);
  const [restoring, setRestoring] = useState(null);
  const { items, error, waiting, more, again } = pages;
  const now = current.value;
  const name = now?.name || items?.[0]?.campaign.name || id;
  const reload = () => {
    again();
    current.again();
  };
  return html`<div class="column">
    <p><a class="back" href=${now ? editing(id) : to("campaigns")}><${Icon} name="chevron-left" small /> ${now ? html`<${Name}>${name}<//>` : "Campaigns"}</a></p>
    <header class="page-head"><div><h1 tabindex="-1" ref=${heading}>Versions</h1><p>Each change of <${Name}>${name}<//> is a version. Decisions name the one that made them.</p></div></header>
    <${Warnings} id=${id} />
    ${now === null && html`<p class="notice"><${Icon} name="info" />This campaign was deleted. Restoring a version makes a draft of it.</p>`}
    ${error?.status === 404 ? html`<${Empty} icon="history" title="There is no such campaign"><a class="button" href=${to("campaigns")}>All campaigns</a><//>` : html`<${Trouble} error=${error || current.error} again=${reload} />`}
    ${!items && waiting && html`<section class="panel flush"><${Waiting} what="Loading versions" /></section>`}
    ${items?.length > 0 &&
    html`<ol class="versions" reversed>
      ${items.map(
        (item, at) => html`<${Version}
          key=${item.version}
          item=${item}
          earlier=${items[at + 1]}
          last=${!more}
          isNow=${now?.version === item.version}
          onRestore=${may("campaigns:write") && now?.version !== item.version && (() => setRestoring(item))}
        />`,
      )}
    </ol>`}
    ${more && html`<div class="more"><${Button} busy=${waiting} onClick=${more}>Show more<//></div>`}
    ${restoring && html`<${Restore} id=${id} item=${restoring} now=${now} onClose=${() => setRestoring(null)} onDone=${reload} />`}
  </div>`;
}

function Version({ item, earlier, last, isNow, onRestore }) {
  const { version, stored, by, campaign } = item;
  const found = earlier ? changes(earlier.campaign, campaign) : [];
  return html`<li class="panel version-of">
    <header>
      <div>
        <h2>Version ${version} ${isNow && html`<${Tag} kind="accent">Now<//>`}</h2>
        <p class="faint"><time datetime=${stored} title=${full(stored)}>${full(stored)}, ${ago(stored)}</time>${by && html`, by <${Name}>${by}<//>`}</p>
      </div>
      ${onRestore && html`<${Button} kind="small" icon="rotate-ccw" label=${`Restore version ${version}`} onClick=${onRestore}>Restore<//>`}
    </header>
    ${!earlier && last && html`<p>The campaign was made.</p>`}
    ${!earlier && !last && html`<p class="faint">Show more to see what changed.</p>`}
    ${earlier && !found.length && html`<p class="faint">Nothing that this page shows has changed.</p>`}
    ${found.length > 0 && html`<${Changes} found=${found} version=${version} />`}
  </li>`;
}

/** What differs, before and after. */
export const Changes = ({ found, version }) =>
  html`<dl class="changes" aria-label=${`What changed in version ${version}`}>
    ${found.map(
      ({ label, before, after }) => html`<div key=${label}>
        <dt>${label}</dt>
        <dd>
          ${before && html`<del dir="auto"><span class="unseen">before: </span>${before}</del>`}
          ${after ? html`<ins dir="auto"><span class="unseen">now: </span>${after}</ins>` : html`<span class="faint">taken away</span>`}
        </dd>
      </div>`,
    )}
  </dl>`;

function Restore({ id, item, now, onClose, onDone }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const status = now ? now.status : "draft"; // an old version must not start what somebody has paused
  const document = { ...documentIn(item.campaign), status };
  const found = now ? changes(now, { ...item.campaign, status }) : [];
  const restore = async () => {
    setBusy(true);
    setError(null);
    try {
      const stored = await put(address(id), document, seen(now?.version || 0));
      const back = async () => {
        await put(address(id), documentIn(now), seen(stored.version)).catch(complain);
        onDone();
      };
      say(`Version ${item.version} is back, as version ${stored.version}.`, now ? { undo: back } : {});
      warn(id, stored.warnings);
      onClose();
      onDone();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    wide
    title=${`Restore version ${item.version}?`}
    onClose=${onClose}
    onSubmit=${restore}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="rotate-ccw" busy=${busy}>Restore<//>`}
  >
    <p>It becomes the newest version and stays <strong>${STATUS[status][1].toLowerCase()}</strong>${now ? `. ${many(found.length, "thing")} would change:` : "."}</p>
    ${found.length > 0 && html`<${Changes} found=${found} version=${item.version} />`}
    <${Trouble} error=${error} />
  <//>`;
}
