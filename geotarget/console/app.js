// Begins: finds out who is signed in, then shows the frame with the page of the address in it.

import { html, render, useEffect } from "./vendor/preact.js";
import "./theme.js";
import { session, whoAmI } from "./session.js";
import { Shell } from "./shell.js";
import { SignIn } from "./pages/signin.js";
import { Toasts } from "./parts/toasts.js";
import { Trouble, useAnswer, Waiting } from "./parts/parts.js";

function App() {
  const { error, again } = useAnswer(whoAmI);
  useEffect(() => {
    if (session.value !== undefined) document.documentElement.dataset.known = "1";
  }, [session.value]);
  if (error && session.value === undefined) {
    return html`<main class="signin"><${Trouble} error=${error} again=${again} /></main>`;
  }
  if (session.value === undefined) return html`<${Waiting} />`;
  return html`${session.value ? html`<${Shell} />` : html`<${SignIn} />`}<${Toasts} />`;
}

render(html`<${App} />`, document.getElementById("app"));
