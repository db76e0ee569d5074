// Campaigns: which movements are answered, for whom, with what; all of them, one of them, and how
// one came to be what it is.

import { html, useEffect } from "../vendor/preact.js";
import { loadZones, zones } from "../catalogue.js";
import { place } from "../router.js";
import { CampaignEditor } from "./campaign-editor.js";
import { CampaignList } from "./campaign-list.js";
import { CampaignVersions } from "./campaign-versions.js";

export function Campaigns() {
  const { rest, query } = place.value;
  const [id, part] = rest;
  useEffect(() => void (zones.value || loadZones()), []);
  if (!id) return html`<${CampaignList} />`;
  if (part === "versions") return html`<${CampaignVersions} id=${id} key=${id} />`;
  // "new" is an address, not an id, unless somebody made a campaign of that id: its list links to it with a mark
  if (id === "new" && !query.has("stored")) return html`<${CampaignEditor} id="" like=${query.get("like") || ""} key=${`new ${query.get("like")}`} />`;
  return html`<${CampaignEditor} id=${id} key=${id} />`;
}
