// How an endpoint is: on, failing, or off with the reason; the same words wherever it is named.

import { html } from "../vendor/preact.js";
import { ago, full } from "../format.js";
import { Icon, Tag } from "../parts/parts.js";

export function Health({ endpoint }) {
  if (endpoint.state === "disabled") return html`<${Tag} kind="bad" icon="ban">Off<//>`;
  if (endpoint.failing_since) return html`<${Tag} kind="warn" icon="triangle-alert">Failing since ${ago(endpoint.failing_since)}<//>`;
  return html`<${Tag} kind="good" icon="circle-check">On<//>`;
}

/** What that means, where it means something. */
export function HealthNotice({ endpoint }) {
  if (endpoint.state === "disabled") {
    return html`<p class="notice bad"><${Icon} name="info" /><span>Off: ${endpoint.disabled_reason}. What waits stays where it is; turn it on and it goes out.</span></p>`;
  }
  if (!endpoint.failing_since) return null;
  return html`<p class="notice warn">
    <${Icon} name="triangle-alert" />
    <span>Every attempt since ${full(endpoint.failing_since)} has failed. It is turned off by itself when that goes on for days.</span>
  </p>`;
}
