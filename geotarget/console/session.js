// Who is signed in. The key is exchanged for a cookie that no script can read.

import { signal } from "./vendor/preact.js";
import { ask, get, onSignedOut } from "./api.js";

/** undefined: not known yet; null: nobody; else {name, scopes, expires}. */
export const session = signal(undefined);

onSignedOut(() => {
  session.value = null;
});

export async function whoAmI() {
  session.value = await get("/v1/session"); // nothing when it is nobody
}

export async function signIn(key) {
  session.value = await ask("POST", "/v1/session", { body: { key } });
}

export async function signOut() {
  await ask("DELETE", "/v1/session");
  session.value = null;
}

/** Whether the session may do something: `zones:write`, say. Writing implies reading. */
export function may(scope) {
  const [what, right] = scope.split(":");
  const has = session.value?.scopes || [];
  return has.includes("admin") || has.includes(scope) || (right === "read" && has.includes(`${what}:write`));
}
