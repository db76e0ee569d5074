// Light or dark: what the system says, unless somebody chose.

import { signal } from "./vendor/preact.js";

const KEY = "geotarget-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal("light");

function apply() {
  const chosen = localStorage.getItem(KEY);
  theme.value = chosen || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = theme.value;
}

dark.addEventListener("change", apply);
apply();

/** Change to the other one, for good. */
export function switchTheme() {
  localStorage.setItem(KEY, theme.value === "dark" ? "light" : "dark");
  apply();
}
