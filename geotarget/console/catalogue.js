// The zones and endpoints that every page names: loaded once, loaded again when somebody changed
// one here.

import { computed, signal } from "./vendor/preact.js";
import { get } from "./api.js";

/** undefined until they are loaded; features as the API gives them, by name. */
export const zones = signal(undefined);
export const zonesError = signal(null);

export const zoneNames = computed(
  () => new Map((zones.value || []).map((zone) => [zone.id, zone.properties.name || zone.id])),
);

export async function loadZones() {
  try {
    const found = [];
    let cursor = null;
    do {
      const page = await get("/v1/zones", { limit: 1000, cursor });
      found.push(...page.features);
      cursor = page.next;
    } while (cursor);
    found.sort((one, other) => (one.properties.name || one.id).localeCompare(other.properties.name || other.id));
    zones.value = found;
    zonesError.value = null;
  } catch (error) {
    zonesError.value = error;
  }
}
