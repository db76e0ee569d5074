// The frame around every page: who we are, where one can go, how the system is.
//
// A page's modules are loaded when it is first shown, or when nothing else is to be done.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { Unreachable } from "./api.js";
import { live } from "./live.js";
import { place, to } from "./router.js";
import { session, signOut } from "./session.js";
import { switchTheme, theme } from "./theme.js";
import { Button, Empty, Icon, Tag, Trouble, useAnswer, Waiting } from "./parts/parts.js";

const PAGES = [
  { name: "live", words: "Live", icon: "map", load: async () => (await import("./pages/live.js")).Live },
  { name: "zones", words: "Zones", icon: "layers", load: async () => (await import("./pages/zones.js")).Zones },
  { name: "campaigns", words: "Campaigns", icon: "megaphone", load: async () => (await import("./pages/campaigns.js")).Campaigns },
  { name: "results", words: "Results", icon: "chart-column", load: async () => (await import("./pages/results.js")).Results },
  { name: "why", words: "Why?", icon: "circle-help", load: async () => (await import("./pages/why.js")).Why },
  { name: "deliveries", words: "Deliveries", icon: "webhook", load: async () => (await import("./pages/deliveries.js")).Deliveries },
  { name: "settings", words: "Settings", icon: "settings", load: async () => (await import("./pages/settings.js")).Settings },
];

const AT_REST_MS = 5000;
const views = new Map();

async function view({ name, load }) {
  try {
    views.set(name, await load());
  } catch {
    throw new Unreachable();
  }
}

/** One of the pages; what failed to load can be asked for again. */
function Page({ page }) {
  const { error, again } = useAnswer(() => view(page), [page.name]);
  const View = views.get(page.name);
  useEffect(() => {
    if (!View) return;
    const rest = () => PAGES.forEach((each) => views.has(each.name) || view(each).catch(() => null));
    const timer = setTimeout(rest, AT_REST_MS);
    return () => clearTimeout(timer);
  }, [View]);
  if (View) return html`<${View} />`;
  return error ? html`<${Trouble} error=${error} again=${again} />` : html`<${Waiting} />`;
}

export function Shell() {
  const here = PAGES.find((each) => each.name === place.value.page);
  const page = useRef();
  const first = useRef(true);
  useEffect(() => live.use(), []);
  useEffect(() => {
    document.title = here ? `${here.words} · geotarget` : "geotarget";
    if (first.current) first.current = false;
    else page.current.focus({ preventScroll: true });
  }, [here]);
  return html`<div class="shell">
    <a class="skip" href="#page" onClick=${skip}>Skip to the page</a>
    <header class="head">
      <a class="brand" href=${to("live")}><img src="icon.svg" alt="" />geotarget</a>
      <div class="rest">
        <${Connection} />
        <${Button}
          kind="quiet"
          icon=${theme.value === "dark" ? "sun" : "moon"}
          label=${theme.value === "dark" ? "Light colours" : "Dark colours"}
          onClick=${switchTheme}
        />
        <${Button} kind="quiet" icon="log-out" label=${`Sign out ${session.value.name}`} onClick=${signOut} />
      </div>
    </header>
    <nav class="ways" aria-label="Pages">
      ${PAGES.map(
        ({ name, words, icon }) =>
          html`<a key=${name} href=${to(name)} aria-current=${name === here?.name ? "page" : undefined}>
            <${Icon} name=${icon} /><span>${words}</span>
          </a>`,
      )}
    </nav>
    <main class="page" id="page" tabindex="-1" ref=${page}>
      ${here
        ? html`<${Page} page=${here} key=${here.name} />`
        : html`<${Empty} icon="circle-help" title="There is no such page">
            <a class="button" href=${to("live")}>Go to the live map</a>
          <//>`}
    </main>
  </div>`;
}

function skip(event) {
  event.preventDefault(); // the address after # is the page's
  document.getElementById("page").focus();
}

function Connection() {
  const states = {
    live: ["good", "Live"],
    connecting: ["", "Connecting …"],
    lost: ["warn", "Reconnecting …"],
  };
  const [kind, words] = states[live.state.value];
  return html`<span role="status"><${Tag} kind=${kind}><span class="dot"></span>${words}<//></span>`;
}
