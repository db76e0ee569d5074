// What came of it: per campaign and per zone; money in and money out.

import { html } from "../vendor/preact.js";
import { place } from "../router.js";
import { CampaignResults } from "./campaign-results.js";
import { ResultsList } from "./results-list.js";
import { ZoneTraffic } from "./zone-traffic.js";

export function Results() {
  const [kind, id] = place.value.rest;
  if (kind === "campaign" && id) return html`<${CampaignResults} id=${id} key=${id} />`;
  if (kind === "zone" && id) return html`<${ZoneTraffic} id=${id} key=${id} />`;
  return html`<${ResultsList} />`;
}
