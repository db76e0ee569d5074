// API keys: made, rotated and revoked. A key itself is shown once.

import { html, useState } from "../vendor/preact.js";
import { get, piece, post, remove } from "../api.js";
import { ago, day } from "../format.js";
import { Button, Check, Copy, Dialog, Empty, Icon, Name, Select, Tag, Text, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { say } from "../parts/toasts.js";

const SCOPES = [
  ["pings:write", "Send pings", "For an app's backend."],
  ["zones:read", "See zones"], ["zones:write", "Change zones"],
  ["campaigns:read", "See campaigns"], ["campaigns:write", "Change campaigns"],
  ["audiences:read", "See audiences"], ["audiences:write", "Change audiences"],
  ["profiles:read", "See profiles"], ["profiles:write", "Change and erase profiles"],
  ["endpoints:read", "See endpoints"], ["endpoints:write", "Change endpoints"],
  ["deliveries:write", "Send deliveries again"],
  ["conversions:write", "Report conversions", "For a till or a shop."],
  ["reports:read", "Read reports and history"],
  ["exports:read", "Export customer lists"],
  ["traces:write", "Trace single devices"],
  ["devices:write", "Make passwords of devices"],
  ["admin", "Everything", "Keys and the audit log, too."],
];
const DAYS = [["365", "A year"], ["90", "90 days"], ["30", "30 days"], ["", "For ever"]];

function stateOf(key, now = Date.now()) {
  if (key.revoked) return html`<${Tag} kind="bad">Revoked<//>`;
  if (key.expires && Date.parse(key.expires) <= now) return html`<${Tag} kind="warn">Expired<//>`;
  return html`<${Tag} kind="good">Works<//>`;
}

export function Keys() {
  const answer = useAnswer(async () => (await get("/v1/keys")).items);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const [ending, setEnding] = useState(null);
  const [rotating, setRotating] = useState(null);
  const show = (key) => {
    setMaking(false);
    setRotating(null);
    setMade(key);
    answer.again();
  };
  return html`<section class="panel flush">
    <header>
      <p>Each application gets a key of its own, with no more rights than it needs.</p>
      <${Button} kind="main" icon="plus" onClick=${() => setMaking(true)}>New key<//>
    </header>
    <${Trouble} error=${answer.error} again=${answer.again} />
    ${!answer.value && answer.waiting && html`<${Waiting} what="Loading keys" />`}
    ${answer.value?.length === 0 && html`<${Empty} icon="key-round" title="No keys yet"><p>You are signed in with the operator's own key. Make one for each application.</p><//>`}
    ${answer.value?.length > 0 &&
    html`<div class="scroll"><table>
      <caption class="unseen">API keys</caption>
      <thead><tr><th scope="col">Name</th><th scope="col">May</th><th scope="col">State</th><th scope="col">Last used</th><th scope="col">Until</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
      <tbody>
        ${answer.value.map(
          (key) => html`<tr key=${key.id}>
            <th scope="row"><${Name}>${key.name}<//><small>${key.id}</small></th>
            <td>${key.scopes.join(", ")}</td>
            <td>${stateOf(key)}</td>
            <td>${key.last_used ? ago(key.last_used) : "never"}</td>
            <td>${key.expires ? day(key.expires) : "for ever"}</td>
            <td>${!key.revoked && html`<div class="row acts"><${Button} kind="small" onClick=${() => setRotating(key)}>Rotate<//><${Button} kind="small danger" onClick=${() => setEnding(key)}>Revoke<//></div>`}</td>
          </tr>`,
        )}
      </tbody>
    </table></div>`}
    ${making && html`<${Make} onClose=${() => setMaking(false)} onMade=${show} />`}
    ${rotating && html`<${Rotate} old=${rotating} onClose=${() => setRotating(null)} onMade=${show} />`}
    ${ending && html`<${End} old=${ending} onClose=${() => setEnding(null)} onDone=${answer.again} />`}
    ${made && html`<${Made} made=${made} onClose=${() => setMade(null)} />`}
  </section>`;
}

function Make({ onClose, onMade }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(new Set());
  const [days, setDays] = useState("365");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState({});
  const [error, setError] = useState(null);
  const toggle = (scope) => (on) => {
    const next = new Set(scopes);
    if (on) next.add(scope);
    else next.delete(scope);
    setScopes(next);
  };
  const make = async () => {
    const found = {
      ...(!name.trim() && { name: "Who will hold it?" }),
      ...(!scopes.size && { scopes: "Choose at least one right." }),
    };
    setWrong(found);
    if (Object.keys(found).length) return;
    setBusy(true);
    setError(null);
    try {
      onMade(await post("/v1/keys", { name: name.trim(), scopes: [...scopes], ...(days && { days: Number(days) }) }));
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    title="New API key"
    onClose=${onClose}
    onSubmit=${make}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="key-round" busy=${busy}>Make the key<//>`}
  >
    <${Text} label="Name" hint="For people, and in the audit log." wrong=${wrong.name} value=${name} onValue=${setName} autofocus />
    <${Select} label="Works for" options=${DAYS} value=${days} onValue=${setDays} />
    <fieldset>
      <legend>It may</legend>
      <div class="two">${SCOPES.map(([scope, words, hint]) => html`<${Check} key=${scope} label=${words} hint=${hint} value=${scopes.has(scope)} onValue=${toggle(scope)} />`)}</div>
      ${wrong.scopes && html`<p class="wrong" role="alert"><${Icon} name="circle-alert" small /> ${wrong.scopes}</p>`}
    </fieldset>
    <${Trouble} error=${error} />
  <//>`;
}

const OVERLAPS = [["86400", "A day"], ["604800", "A week"], ["3600", "An hour"], ["0", "Not at all"]];

function Rotate({ old, onClose, onMade }) {
  const [overlap, setOverlap] = useState("86400");
  const { busy, error, act } = useAct(async () => onMade(await post(`/v1/keys/${piece(old.id)}:rotate`, { overlap_s: Number(overlap) })));
  return html`<${Dialog}
    title="Rotate the key"
    onClose=${onClose}
    onSubmit=${act}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="key-round" busy=${busy}>Make a new key<//>`}
  >
    <p><strong><${Name}>${old.name}<//></strong> gets a new key with the same rights. The old one goes on working for a while, so that nothing stops.</p>
    <${Select} label="The old key still works for" options=${OVERLAPS} value=${overlap} onValue=${setOverlap} />
    <${Trouble} error=${error} />
  <//>`;
}

function End({ old, onClose, onDone }) {
  const { busy, error, act } = useAct(async () => {
    await remove(`/v1/keys/${piece(old.id)}`);
    say(`The key of ${old.name} does not work any more.`);
    onClose();
    onDone();
  });
  return html`<${Dialog}
    title="Revoke the key?"
    onClose=${onClose}
    onSubmit=${act}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="danger main" busy=${busy}>Revoke<//>`}
  >
    <p>What uses the key of <strong><${Name}>${old.name}<//></strong> is refused from now on, and who signed in with it is signed out. This can't be undone.</p>
    <${Trouble} error=${error} />
  <//>`;
}

/** Does something once: busy meanwhile, and with what went wrong. */
function useAct(act) {
  const [state, setState] = useState({ busy: false, error: null });
  const once = async () => {
    setState({ busy: true, error: null });
    try {
      await act();
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return { ...state, act: once };
}

const Made = ({ made, onClose }) =>
  html`<${Dialog} title="The key" onClose=${onClose} foot=${html`<${Button} kind="main" onClick=${onClose}>I have kept it<//>`}>
    <p>Give it to <strong><${Name}>${made.name}<//></strong> now: it is not shown again.</p>
    <div class="row"><code class="secret">${made.key}</code><${Copy} text=${made.key} /></div>
  <//>`;
