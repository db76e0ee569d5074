// The frame around every page: who we are, where one can go, how the system is.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { live } from "./live.js";
import { place, to } from "./router.js";
import { session, signOut } from "./session.js";
import { switchTheme, theme } from "./theme.js";
import { Button, Empty, Icon, Tag } from "./parts/parts.js";
import { Campaigns } from "./pages/campaigns.js";
import { Deliveries } from "./pages/deliveries.js";
import { Live } from "./pages/live.js";
import { Results } from "./pages/results.js";
import { Settings } from "./pages/settings.js";
import { Why } from "./pages/why.js";
import { Zones } from "./pages/zones.js";

const PAGES = [
  { name: "live", words: "Live", icon: "map", View: Live },
  { name: "zones", words: "Zones", icon: "layers", View: Zones },
  { name: "campaigns", words: "Campaigns", icon: "megaphone", View: Campaigns },
  { name: "results", words: "Results", icon: "chart-column", View: Results },
  { name: "why", words: "Why?", icon: "circle-help", View: Why },
  { name: "deliveries", words: "Deliveries", icon: "webhook", View: Deliveries },
  { name: "settings", words: "Settings", icon: "settings", View: Settings },
];

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
        ? html`<${here.View} key=${here.name} />`
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
