// The zones that every page names: loaded once, loaded again when somebody changed one here.
//
// Without their outlines, which only maps and the editor need: those of ten thousand zones are
// 40 MB. Maps get them as tiles, the editor asks for the one that it opens.

import { computed, signal } from "./vendor/preact.js";
import { get, piece } from "./api.js";

/** undefined until they are loaded; features as the API lists them, without outlines, by name. */
export const zones = signal(undefined);
export const zonesError = signal(null);

export const zoneNames = computed(
  () => new Map((zones.value || []).map((zone) => [zone.id, zone.properties.name || zone.id])),
);

const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;

export async function loadZones() {
  try {
    const found = await pages({ outlines: false, limit: 10_000 });
    const names = new Map(found.map((zone) => [zone, zone.properties.name || zone.id]));
    zones.value = found.sort((one, other) => inOrder(names.get(one), names.get(other)));
    zonesError.value = null;
  } catch (error) {
    zonesError.value = error;
  }
}

/** What a map begins with: the zones, none where they can't be had; undefined until that is known. */
export const zonesOrNone = computed(() => zones.value || (zonesError.value ? [] : undefined));

/** One zone with its outline. */
export const wholeZone = (id, how) => get(`/v1/zones/${piece(id)}`, {}, how);

/** All zones with their outlines: only for who wants to keep them in a file. */
export const wholeZones = () => pages({ limit: 1000 });

async function pages(query) {
  const found = [];
  let cursor = null;
  do {
    const page = await get("/v1/zones", { ...query, cursor });
    found.push(...page.features);
    cursor = page.next;
  } while (cursor);
  return found;
}
