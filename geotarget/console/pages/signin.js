// The door: an API key for a session.

import { html, useState } from "../vendor/preact.js";
import { signIn } from "../session.js";
import { Button, Text, Trouble } from "../parts/parts.js";

export function SignIn() {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(key.trim());
    } catch (refused) {
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  return html`<main class="signin">
    <form class="panel" onSubmit=${submit}>
      <h1><img src="icon.svg" alt="" />Sign in to geotarget</h1>
      <p>
        Use an API key. Its scopes decide what you can see and change. The first one is made on the machine itself:${" "}
        <code>geotarget keys create --name me --scope admin</code>
      </p>
      <${Text}
        label="API key"
        type="password"
        autocomplete="current-password"
        placeholder="gt_live_…"
        required
        value=${key}
        onValue=${setKey}
      />
      <${Trouble} error=${error} />
      <${Button} type="submit" kind="main" busy=${busy} disabled=${!key.trim()}>Sign in<//>
    </form>
  </main>`;
}
