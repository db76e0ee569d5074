// Named audiences: keeping a rule under a name, and changing or deleting what is kept.

import { html, useState } from "../vendor/preact.js";
import { all, piece, put, remove } from "../api.js";
import { many } from "../format.js";
import { Area, Button, Dialog, Name, Text, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { Spot } from "./audience-spot.js";
import { Wrong } from "./campaign-draft.js";
import { idOf } from "./zone-form.js";

const address = (id) => `/v1/audiences/${piece(id)}`;
const written = ({ rule, name, description }) => ({ rule, name, description });
const called = ({ id, name }) => name || id;

/** Keeps the rule of a campaign under a name. */
export function Naming({ rule, taken, onClose, onSaved }) {
  const [name, setName] = useState("");
  const [typed, setTyped] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const id = typed.trim() || idOf(name);
  const exists = taken.some((each) => each.id === id);
  const wrong = new Wrong(error?.errors || []);
  const save = async () => {
    if (!id || exists) return;
    setBusy(true);
    setError(null);
    try {
      onSaved(await put(address(id), { rule, name: name.trim() }));
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    title="A named audience"
    onClose=${onClose}
    onSubmit=${save}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="save" busy=${busy} disabled=${!id || exists}>Save<//>`}
  >
    <p>Other campaigns can choose it, too. Whoever changes it changes it for all of them.</p>
    <${Text} label="Name" autofocus value=${name} onValue=${setName} wrong=${wrong.at("$.name")} />
    <${Text} label="Id" placeholder=${idOf(name) || "from the name"} value=${typed} onValue=${setTyped} wrong=${exists ? "There is an audience of this id already." : undefined} />
    <pre>${rule}</pre>
    <${Trouble} error=${error} />
  <//>`;
}

/** All named audiences, to be changed or deleted; `again` hears that something was. */
export function Keeping({ audiences, again, onClose }) {
  const [editing, setEditing] = useState(null);
  const campaigns = useAnswer(() => all("/v1/campaigns"));
  const users = (id) => (campaigns.value || []).filter((each) => each.audiences.includes(id));
  if (editing) return html`<${Changing} key=${editing.id} audience=${editing} users=${users(editing.id)} again=${again} onClose=${() => setEditing(null)} />`;
  const erase = async (audience) => {
    try {
      await remove(address(audience.id));
      const back = () => put(address(audience.id), written(audience)).then(again, complain);
      say(`The audience ${called(audience)} was deleted.`, { undo: back });
    } catch (error) {
      complain(error);
    }
    again();
  };
  return html`<${Dialog} wide title="Named audiences" onClose=${onClose} foot=${html`<${Button} kind="main" autofocus onClick=${onClose}>Done<//>`}>
    <${Trouble} error=${campaigns.error} again=${campaigns.again} />
    ${!campaigns.value && campaigns.waiting && html`<${Waiting} what="Looking who uses them" />`}
    ${audiences.length === 0 && html`<p class="faint">None is left.</p>`}
    <ul class="kept">
      ${campaigns.value &&
      audiences.map((each) => {
        const by = users(each.id);
        return html`<li key=${each.id}>
          <div>
            <h3><${Name}>${called(each)}<//></h3>
            ${each.description && html`<p dir="auto">${each.description}</p>`}
            <p class="faint">${by.length ? html`Used by ${by.length === 1 ? html`<${Name}>${by[0].name}<//>` : many(by.length, "campaign")}: it can't be deleted.` : "No campaign uses it."}</p>
          </div>
          <div class="row">
            <${Button} kind="small" icon="pencil" label=${`Change: ${called(each)}`} onClick=${() => setEditing(each)}>Change<//>
            <${Button} kind="small quiet danger" icon="trash-2" label=${`Delete: ${called(each)}`} disabled=${by.length > 0} onClick=${() => erase(each)} />
          </div>
        </li>`;
      })}
    </ul>
  <//>`;
}

function Changing({ audience, users, again, onClose }) {
  const [form, setForm] = useState(written(audience));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (name) => (value) => setForm((now) => ({ ...now, [name]: value }));
  const wrong = new Wrong(error?.errors || []);
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      await put(address(audience.id), { ...form, name: form.name.trim() });
      const back = () => put(address(audience.id), written(audience)).then(again, complain);
      say(`The audience ${called({ ...audience, ...form })} was saved.`, { undo: back });
      again();
      onClose();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog}
    wide
    title=${`Change: ${called(audience)}`}
    onClose=${onClose}
    onSubmit=${save}
    foot=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} type="submit" kind="main" icon="save" busy=${busy} disabled=${!form.rule.trim()}>Save<//>`}
  >
    ${users.length > 0 && html`<p>It changes at once for ${users.length === 1 ? "the campaign" : many(users.length, "campaign")} that ${users.length === 1 ? "uses" : "use"} it: <bdi>${users.map(({ name }) => name).join(", ")}</bdi>.</p>`}
    <${Text} label="Name" autofocus maxlength="200" value=${form.name} onValue=${set("name")} wrong=${wrong.at("$.name")} />
    <${Area} label="Description" rows="2" maxlength="2000" value=${form.description} onValue=${set("description")} wrong=${wrong.at("$.description")} />
    <${Area} label="The rule (CEL)" code spellcheck="false" rows="4" maxlength="4000" value=${form.rule} onValue=${set("rule")} wrong=${wrong.at("$.rule")} />
    <${Spot} rule=${form.rule} reason=${wrong.at("$.rule")} />
    ${error && !error.errors?.length && html`<${Trouble} error=${error} />`}
  <//>`;
}
