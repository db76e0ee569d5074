// Named audiences: keeping a rule under a name, and changing or deleting what is kept.

import { html, useState } from "../vendor/preact.js";
import { all, get, piece, put, remove, seen } from "../api.js";
import { many } from "../format.js";
import { Area, Button, Dialog, Name, Text, Trouble, useAnswer, Waiting } from "../parts/parts.js";
import { complain, say } from "../parts/toasts.js";
import { Spot } from "./audience-spot.js";
import { Wrong } from "./campaign-draft.js";
import { Changes } from "./campaign-versions.js";
import { Clashing } from "./clash.js";
import { idOf } from "./zone-form.js";

const address = (id) => `/v1/audiences/${piece(id)}`;
const written = ({ rule, name, description }) => ({ rule, name, description });
const called = ({ id, name }) => name || id;
const sentence = (said) => `${said[0].toUpperCase()}${said.slice(1)}.`;

/** Keeps the rule of a campaign under a name. */
export function Naming({ rule, taken, onClose, onSaved }) {
  const [name, setName] = useState("");
  const [typed, setTyped] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const id = typed.trim() || idOf(name);
  const [found, setFound] = useState(""); // an id that somebody else took meanwhile
  const exists = id !== "" && (id === found || taken.some((each) => each.id === id));
  const wrong = new Wrong(error?.errors || []);
  const save = async () => {
    if (!id || exists) return;
    setBusy(true);
    setError(null);
    try {
      onSaved(await put(address(id), { rule, name: name.trim() }, seen(0)));
    } catch (refused) {
      if (refused.status === 412) setFound(id);
      else setError(refused);
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
      const back = () => put(address(audience.id), written(audience), seen(0)).then(again, complain);
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

const FIELDS = [["Name", "name"], ["Description", "description"], ["The rule (CEL)", "rule"]];

/** What somebody else made of it since it was opened; undefined for nothing. */
const latest = (id, signal) =>
  get(address(id), {}, { signal }).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });

function Clash({ opened, said, onStay, onReload, onOver }) {
  const { value, error, waiting, again } = useAnswer((signal) => latest(opened.id, signal), [opened.id]);
  const found = FIELDS.map(([label, field]) => ({ label, before: opened[field], after: value?.[field] })).filter((each) => each.before !== each.after);
  const ways = { onStay, onReload: () => onReload(value), onOver: () => onOver(value?.revision || 0) };
  return html`<${Clashing} what="audience" there=${value === undefined ? undefined : value !== null} ...${{ error, waiting, again, ...ways }}>
    <p>${said} Nothing of yours is saved yet.</p>
    ${value && found.length > 0 && html`<h3>What they changed</h3><${Changes} found=${found} version=${value.revision} />`}
  <//>`;
}

function Changing({ audience: chosen, users, again, onClose }) {
  const [audience, setAudience] = useState(chosen); // as it was when it was opened, or loaded anew
  const [clash, setClash] = useState("");
  const [form, setForm] = useState(written(audience));
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (name) => (value) => setForm((now) => ({ ...now, [name]: value }));
  const wrong = new Wrong(error?.errors || []);
  /** `over`: the revision to replace, where that is not the one that was opened; 0: none. */
  const save = async (over = audience.revision) => {
    setBusy(true);
    setError(null);
    setClash("");
    try {
      const { revision } = await put(address(audience.id), { ...form, name: form.name.trim() }, seen(over));
      const back = () => put(address(audience.id), written(audience), seen(revision)).then(again, complain);
      say(`The audience ${called({ ...audience, ...form })} was saved.`, { undo: back });
      again();
      onClose();
    } catch (refused) {
      if (refused.status === 412) setClash(sentence(refused.message));
      else setError(refused);
      setBusy(false);
    }
  };
  const load = (theirs) => {
    setClash("");
    setAudience(theirs);
    setForm(written(theirs));
    again();
  };
  if (clash) return html`<${Clash} opened=${audience} said=${clash} onStay=${() => setClash("")} onReload=${load} onOver=${save} />`;
  return html`<${Dialog}
    wide
    title=${`Change: ${called(audience)}`}
    onClose=${onClose}
    onSubmit=${() => save()}
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
