// All sections of a campaign's form, in the order in which one thinks of them.

import { html } from "../vendor/preact.js";
import { to } from "../router.js";
import { may } from "../session.js";
import { Text } from "../parts/parts.js";
import { Audience } from "./audience-field.js";
import { Comparison, Limits, Schedule } from "./campaign-limits.js";
import { Offer } from "./campaign-offer.js";
import { Picks, Section, Span } from "./campaign-parts.js";
import { Trigger } from "./campaign-trigger.js";
import { length } from "./campaign-words.js";
import { idOf } from "./zone-form.js";

/**
 * @param {{form: object, id: string, change: (changes) => void, wrong: Wrong, lists: {endpoints, audiences, arms, again}}} properties
 *   `id` is empty for a new campaign.
 */
export function CampaignForm({ form, id, change, wrong, lists }) {
  const parts = { form, change, wrong };
  return html`<div class="sections">
    <${Basics} ...${parts} id=${id} />
    <${Trigger} ...${parts} />
    <${Audience} ...${parts} audiences=${lists.audiences} again=${lists.again} />
    <${Offer} ...${parts} arms=${lists.arms} />
    <${WhereTo} ...${parts} endpoints=${lists.endpoints} />
    <${Schedule} ...${parts} />
    <${Limits} ...${parts} />
    <${Comparison} ...${parts} />
  </div>`;
}

function Basics({ form, id, change, wrong }) {
  return html`<${Section} title="Basics" told=${form.name}>
    <div class="fields">
      <${Text} label="Name" required maxlength="200" dir="auto" wrong=${wrong.at("$.name")} value=${form.name} onValue=${(name) => change({ name })} />
      ${!id &&
      html`<${Text}
        label="Id"
        hint="In the API and in reports; it can't be changed later."
        placeholder=${idOf(form.name) || "from the name"}
        wrong=${wrong.at("$.id")}
        value=${form.id || ""}
        onValue=${(typed) => change({ id: typed })}
      />`}
    </div>
  <//>`;
}

function WhereTo({ form, change, wrong, endpoints }) {
  const set = (name) => (value) => change({ [name]: value });
  return html`<${Section} title="Where to" told=${form.endpoints.join(", ") || "Nobody is told yet"}>
    ${may("endpoints:read")
      ? html`<${Picks}
          label="Endpoints"
          what="endpoints"
          wrong=${wrong.at("$.endpoints")}
          options=${endpoints?.map(({ id, url, description, state }) => ({ value: id, note: [description || url, state === "disabled" && "off"].filter(Boolean).join(" · ") }))}
          chosen=${form.endpoints}
          onChosen=${set("endpoints")}
          empty=${html`<p class="faint">There is no endpoint yet. <a href=${to("deliveries", "endpoints", "new")}>Make one</a>: it is the system that sends the offer on, such as a CRM or a push service.</p>`}
        />`
      : html`<${Text} label="Endpoints" hint="Ids, separated by commas." wrong=${wrong.at("$.endpoints")} value=${form.endpoints.join(", ")} onValue=${(text) => change({ endpoints: text.split(",").map((each) => each.trim()).filter(Boolean) })} />`}
    <div class="fields">
      <${Span} label="An offer holds" hint="Empty: no end." wrong=${wrong.at("$.valid_s")} value=${form.valid} onValue=${set("valid")} />
      <${Span} label="A conversion counts for" hint=${attributionWords(form.attribution)} wrong=${wrong.at("$.attribution_s")} value=${form.attribution} onValue=${set("attribution")} />
      <${Text} label="One offer costs" hint="What it costs to send." inputmode="decimal" placeholder="0" wrong=${wrong.at("$.cost_per_offer")} value=${form.cost} onValue=${set("cost")} />
      <${Text} label="Currency" maxlength="3" list="currencies" wrong=${wrong.at("$.currency")} value=${form.currency} onValue=${(text) => change({ currency: text.toUpperCase() })} />
      <${Text} label="Attributes to pass on" hint="Names, separated by commas. Endpoints learn nothing else of the person." wide wrong=${wrong.at("$.pass_attributes")} value=${form.pass} onValue=${set("pass")} />
    </div>
    <datalist id="currencies">${["EUR", "SEK", "NOK", "DKK", "GBP", "USD", "CHF", "PLN"].map((each) => html`<option key=${each} value=${each}></option>`)}</datalist>
  <//>`;
}

function attributionWords({ number, unit }) {
  const seconds = Number(number.replace(",", ".")) * Number(unit);
  return seconds > 0 ? `A purchase within ${length(seconds)} after an offer counts for it.` : "90 days at most.";
}
