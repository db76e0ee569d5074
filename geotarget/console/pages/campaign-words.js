// What a campaign says, in words: for the list, and to tell two versions of it apart.

import { zoneNames } from "../catalogue.js";
import { count, day, full, many, money, share } from "../format.js";
import { STATUS } from "./results-list.js";

export { STATUS };

export const DAYS = [
  ["mon", "Mon"], ["tue", "Tue"], ["wed", "Wed"], ["thu", "Thu"], ["fri", "Fri"], ["sat", "Sat"], ["sun", "Sun"],
];
const NAMED = 3;
const either = new Intl.ListFormat("en-GB", { type: "disjunction" });
const both = new Intl.ListFormat("en-GB", { type: "conjunction" });

const LENGTHS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** A length of time in one unit, as its author thought of it: 90 minutes, 1 day. */
export function length(seconds) {
  const [unit, size] = LENGTHS.find(([, each]) => seconds % each === 0) || LENGTHS.at(-1);
  return many(seconds / size, unit);
}

/** Some names, and how many more there are. */
function some(names, join = either) {
  const shown = names.length > NAMED + 1 ? [...names.slice(0, NAMED), many(names.length - NAMED, "other")] : names;
  return join.format(shown);
}

const named = (ids) => ids.map((id) => zoneNames.value.get(id) || id);

/** Which zones, in words. */
function whereWords({ ids, tags, exclude }) {
  const parts = [];
  if (ids.length) parts.push(some(named(ids)));
  if (tags.length) parts.push(`a zone tagged ${some(tags)}`);
  const where = parts.length ? either.format(parts) : "any zone";
  return exclude.length ? `${where}, but not ${some(named(exclude))}` : where;
}

/** When somebody …: "enters or stays 5 min in a zone tagged bakery". */
export function triggerWords(trigger) {
  const verbs = [
    ["enter", "enters"],
    ["dwell", `stays ${trigger.dwell_s ? length(trigger.dwell_s) : "a while"} in`],
    ["exit", "leaves"],
    ["crossed", "passes through"],
  ];
  const said = verbs.filter(([kind]) => trigger.on.includes(kind)).map(([, words]) => words);
  return said.length ? `${either.format(said)} ${whereWords(trigger.zones)}` : "does nothing: choose what they do";
}

/** A date as the author wrote it: a day stays the same day, wherever the reader is. */
function dateWords(text) {
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(Date.parse(text))) return text;
  return text.length === 10 ? day(`${text}T12:00`) : full(text);
}

/** Mon–Fri, Sun */
function daysWords(days) {
  const at = DAYS.map(([name]) => days.includes(name));
  const runs = [];
  DAYS.forEach(([, words], index) => {
    if (!at[index]) return;
    if (at[index - 1]) runs.at(-1).push(words);
    else runs.push([words]);
  });
  return runs.map((run) => (run.length > 2 ? `${run[0]}–${run.at(-1)}` : run.join(", "))).join(", ");
}

/** When it speaks: "Mon–Fri, 07:00–10:30, until 23 Dec 2026". */
export function scheduleWords(schedule) {
  const { starts, ends, days = [], hours = [] } = schedule || {};
  const parts = [];
  if (days.length && days.length < 7) parts.push(daysWords(days));
  if (hours.length) parts.push(both.format(hours.map(({ from, to }) => `${from}–${to}`)));
  if (starts) parts.push(`from ${dateWords(starts)}`);
  if (ends) parts.push(`until ${dateWords(ends)}`);
  return parts.join(", ") || "Always";
}

/** How often one person gets it. */
export function capsWords(caps) {
  const { per_profile = [], per_visit, cooldown_s } = caps || {};
  const parts = per_profile.map(({ max, period_s }) => `${count(max)} per person ${period_s ? `in ${length(period_s)}` : "ever"}`);
  if (per_visit) parts.push(`${count(per_visit)} per visit`);
  if (cooldown_s) parts.push(`${length(cooldown_s)} apart`);
  return parts.join(", ");
}

/** What it may spend. */
export function budgetWords(budget, currency) {
  if (!budget) return "";
  const amount = (number) => (budget.in === "money" ? money(number, currency) : many(number, "offer"));
  const parts = [];
  if (budget.total != null) parts.push(`${amount(budget.total)} in all`);
  if (budget.per_day != null) parts.push(`${amount(budget.per_day)} a day`);
  if (!parts.length) return "";
  return parts.join(", ") + (budget.pacing === "even" ? ", spread evenly" : "");
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const onOff = (value) => (value ? "yes" : "no");

function offerFacets(label, { offer, translations }) {
  const found = Object.entries(offer || {}).map(([name, value]) => [`${label}, ${name}`, text(value)]);
  for (const [tag, told] of Object.entries(translations || {})) {
    for (const [name, value] of Object.entries(told)) found.push([`${label}, ${name} (${tag})`, text(value)]);
  }
  return found;
}

/** Everything a document says, as [label, words]; empty words for what is left out. */
function facets(doc) {
  const { trigger, currency } = doc;
  return [
    ["Name", doc.name],
    ["Status", STATUS[doc.status]?.[1] || doc.status],
    ["When somebody", triggerWords(trigger)],
    ["How sure", ["", "likely", "confirmed", "certain"][trigger.min_confidence]],
    ["Those inside from their first ping count", onOff(trigger.initial)],
    ["Only the most specific zone", onOff(trigger.most_specific)],
    ["Schedule", scheduleWords(doc.schedule)],
    ["Consent", `${doc.consent.purpose}, ${doc.consent.required ? "must be given" : "unless refused"}`],
    ["Rule", doc.audience || ""],
    ["Named audiences", doc.audiences.join(", ")],
    ["Held out", doc.holdout ? share(doc.holdout) : ""],
    ["Salt", doc.salt],
    ["Limits", capsWords(doc.caps)],
    ["Budget", budgetWords(doc.budget, currency)],
    ["Time zone of the budget", doc.budget?.time_zone || ""],
    ["Cost per offer", doc.cost_per_offer ? money(doc.cost_per_offer, currency) : ""],
    ["Currency", currency],
    ["Priority", String(doc.priority)],
    ["Beside other campaigns", onOff(doc.with_others)],
    ...offerFacets("Offer", doc),
    ...doc.variants.flatMap((each) => [
      [`Variant ${each.id}, weight`, count(each.weight)],
      [`Variant ${each.id}, cost`, each.cost_per_offer == null ? "" : money(each.cost_per_offer, currency)],
      ...offerFacets(`Variant ${each.id}`, each),
    ]),
    ["Choice of the variant", doc.allocation === "thompson" ? "by what converts" : "by weight"],
    ["Goes to", doc.endpoints.join(", ")],
    ["Attributes passed on", doc.pass_attributes.join(", ")],
    ["An offer holds", doc.valid_s ? length(doc.valid_s) : ""],
    ["A conversion counts for", length(doc.attribution_s)],
    ["Asked those inside", doc.inside_asked ? full(doc.inside_asked) : ""],
  ];
}

/**
 * What changed from one document to the next.
 *
 * @returns {{label: string, before: string, after: string}[]} Empty words: it was or is not there.
 */
export function changes(before, after) {
  const was = new Map(facets(before));
  const is = new Map(facets(after));
  return [...new Set([...was.keys(), ...is.keys()])]
    .map((label) => ({ label, before: was.get(label) || "", after: is.get(label) || "" }))
    .filter((each) => each.before !== each.after);
}
