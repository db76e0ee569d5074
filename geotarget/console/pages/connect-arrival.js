// Waits for a ping of one device: says it when it was taken, or refused, and why. It asks for the
// device's story, which answers for devices that nobody has heard of, too.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, piece } from "../api.js";
import { full } from "../format.js";
import { to } from "../router.js";
import { Button, Icon, Trouble } from "../parts/parts.js";

const PAUSE_MS = 2_000;
const BEFORE_MS = 600_000;

export function Arrival({ device }) {
  const [waiting, setWaiting] = useState(false);
  const [found, setFound] = useState(null); // {fix} or {refused}
  const [error, setError] = useState(null);
  useEffect(() => {
    if (!waiting) return undefined;
    const stop = new AbortController();
    let timer = null;
    let before = null;
    const ask = async () => {
      try {
        const now = await heard(device, stop.signal);
        before ??= now;
        const news = newIn(now, before);
        if (news) {
          setFound(news);
          setWaiting(false);
          return;
        }
        setError(null);
      } catch (refused) {
        if (stop.signal.aborted) return;
        setError(refused);
      }
      timer = setTimeout(ask, PAUSE_MS);
    };
    ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [waiting, device]);
  const start = () => {
    setFound(null);
    setWaiting(true);
  };
  return html`<section class="panel stack">
    <header>
      <h2>Does it arrive?</h2>
      ${waiting
        ? html`<${Button} icon="x" onClick=${() => setWaiting(false)}>Stop<//>`
        : html`<${Button} kind="main" icon="radio-tower" onClick=${start}>${found ? "Wait for the next" : "Wait for a ping"}<//>`}
    </header>
    <div role="status">
      ${waiting && html`<p class="notice"><${Icon} name="radio-tower" /><span>Waiting for a ping of <strong>${device}</strong> … send one now.</span></p>`}
      ${found?.fix && html`<${Taken} device=${device} fix=${found.fix} />`}
      ${found?.refused && html`<${Refused} refused=${found.refused} />`}
      ${!waiting && !found && html`<p class="faint">Start waiting, then send a ping from the app or with a line from above.</p>`}
    </div>
    <${Trouble} error=${error} />
  </section>`;
}

/** The last fix that was taken, and which pings were refused lately. */
async function heard(device, signal) {
  const from = new Date(Date.now() - BEFORE_MS).toISOString();
  const { last_fix: fix, timeline } = await get(`/v1/devices/${piece(device)}/explain`, { from }, { signal });
  return { fix, refused: timeline.filter((each) => each.what === "refused").map((each) => each.refused) };
}

/** What came since: {fix}, {refused} or null. */
function newIn(now, before) {
  if (now.fix && now.fix.time !== before.fix?.time) return { fix: now.fix };
  const known = new Set(before.refused.map(({ received, detail }) => received + detail));
  const refused = now.refused.findLast(({ received, detail }) => !known.has(received + detail));
  return refused ? { refused } : null;
}

const Taken = ({ device, fix }) => html`<p class="notice good">
  <${Icon} name="circle-check" />
  <span>
    Received: ${fix.lat.toFixed(5)}, ${fix.lng.toFixed(5)}, accuracy ${Math.round(fix.accuracy_m)} m, fix of ${full(fix.time)}.
    ${" "}<a href=${to("why", device)}>What came of it</a>
  </span>
</p>`;

const Refused = ({ refused }) => html`<p class="notice bad">
  <${Icon} name="circle-x" />
  <span>It came, and was refused: ${refused.detail}. ${refused.advice}</span>
</p>`;
