// One campaign while it is edited: what the fields hold, and the document that they make.
//
// Fields hold text, as it is typed; the document holds what the API takes. Members that this page
// does not know are kept as they were: a newer server must lose nothing to an older console.

/** What an answer says that no document may. */
const ANSWERED = new Set(["id", "version", "matches_zones", "inside_asked", "updated", "warnings"]);

export const UNITS = [["1", "seconds"], ["60", "minutes"], ["3600", "hours"], ["86400", "days"]];

let last = 0;
/** A key for a row of a list, so that rows keep their fields when others go. */
export const fresh = () => `k${++last}`;

/** An answer of the API as the document that would make it. */
export const documentIn = (answer) => Object.fromEntries(Object.entries(answer).filter(([name]) => !ANSWERED.has(name)));

/** Seconds as a number and the largest unit that goes into them. */
function spanOf(seconds, unit = "60") {
  if (seconds == null) return { number: "", unit };
  const [size] = [...UNITS].reverse().find(([each]) => seconds % Number(each) === 0);
  return { number: String(seconds / Number(size)), unit: size };
}

const words = (value) => (value == null ? "" : String(value));

/** The fields of an offer; title and text stand first and are always there. */
function fieldsOf(offer) {
  const field = (name, value) => {
    const json = typeof value !== "string";
    return { key: fresh(), name, value: json ? JSON.stringify(value, null, 2) : value, json };
  };
  const rest = Object.entries(offer || {}).filter(([name]) => name !== "title" && name !== "text");
  return [field("title", offer?.title ?? ""), field("text", offer?.text ?? ""), ...rest.map(([name, value]) => field(name, value))];
}

const translationsOf = (translations) =>
  Object.entries(translations || {}).map(([tag, offer]) => ({ key: fresh(), tag, fields: fieldsOf(offer) }));

/** A variant as it begins. */
export const blankOffer = (id = "") => ({ key: fresh(), id, weight: "1", cost: "", fields: fieldsOf({}), translations: [] });

export const blankTranslation = () => ({ key: fresh(), tag: "", fields: fieldsOf({}) });
export const blankField = () => ({ key: fresh(), name: "", value: "", json: false });

const NEW = {
  name: "",
  status: "draft",
  trigger: {},
  consent: {},
  audiences: [],
  caps: { per_visit: 1 },
  holdout: 0,
  variants: [],
  endpoints: [],
  pass_attributes: [],
  attribution_s: 7 * 86_400,
};

/** What the fields show of a document; of none, a new campaign's. */
export function formOf(doc = NEW) {
  const { trigger, schedule, consent, caps, budget, variants } = doc;
  return {
    base: doc,
    name: doc.name,
    status: doc.status,
    on: trigger.on || ["enter"],
    dwell: spanOf(trigger.dwell_s),
    chosen: Boolean(trigger.zones?.ids?.length || trigger.zones?.tags?.length),
    ids: trigger.zones?.ids || [],
    tags: trigger.zones?.tags || [],
    exclude: trigger.zones?.exclude || [],
    sure: String(trigger.min_confidence ?? 1),
    initial: trigger.initial ?? true,
    specific: Boolean(trigger.most_specific),
    inside: false,
    audiences: doc.audiences || [],
    rule: doc.audience || "",
    purpose: consent?.purpose || "marketing",
    consentRequired: Boolean(consent?.required),
    starts: schedule?.starts || "",
    ends: schedule?.ends || "",
    days: schedule?.days || [],
    hours: (schedule?.hours || []).map((each) => ({ key: fresh(), ...each })),
    caps: (caps?.per_profile || []).map(({ max, period_s }) => ({ key: fresh(), max: String(max), span: spanOf(period_s, "86400") })),
    perVisit: words(caps?.per_visit),
    cooldown: spanOf(caps?.cooldown_s, "3600"),
    priority: words(doc.priority ?? 0),
    withOthers: Boolean(doc.with_others),
    unit: budget?.in || "offers",
    total: words(budget?.total),
    perDay: words(budget?.per_day),
    pacing: budget?.pacing || "asap",
    zone: budget?.time_zone || Intl.DateTimeFormat().resolvedOptions().timeZone,
    holdout: words(Math.round((doc.holdout || 0) * 10_000) / 100),
    salt: doc.salt || "",
    split: Boolean(variants.length),
    offers: variants.length
      ? variants.map((each) => ({
          key: fresh(),
          id: each.id,
          weight: words(each.weight),
          cost: words(each.cost_per_offer),
          fields: fieldsOf(each.offer),
          translations: translationsOf(each.translations),
        }))
      : [{ ...blankOffer(), fields: fieldsOf(doc.offer), translations: translationsOf(doc.translations) }],
    allocation: doc.allocation || "weights",
    endpoints: doc.endpoints,
    pass: (doc.pass_attributes || []).join(", "),
    valid: spanOf(doc.valid_s, "3600"),
    cost: doc.cost_per_offer ? words(doc.cost_per_offer) : "",
    currency: doc.currency || "EUR",
    attribution: spanOf(doc.attribution_s, "86400"),
  };
}

/** Where a member of an object stands, as the API writes it. */
export const member = (path, name) => (/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name) ? `${path}.${name}` : `${path}['${name}']`);

const list = (value) => value.split(",").map((each) => each.trim()).filter(Boolean);

/**
 * The document that the fields make, and what can't be read of them.
 *
 * @returns {{document: object, errors: {path: string, reason: string}[]}} Errors as the API tells them.
 */
export function documentOf(form) {
  const errors = [];
  const number = (path, value, reason = "must be a number") => {
    const text = value.trim().replace(",", ".");
    if (!text) return null;
    if (Number.isFinite(Number(text))) return Number(text);
    errors.push({ path, reason });
    return null;
  };
  const seconds = (path, { number: text, unit }) => {
    const given = number(path, text);
    return given === null ? null : Math.round(given * Number(unit));
  };
  const offer = (path, fields) => {
    const made = {};
    for (const { name, value, json } of fields) {
      const called = name.trim();
      if (!value.trim() && (!called || called === "title" || called === "text")) continue;
      const place = member(path, called);
      if (!called) errors.push({ path, reason: "a field has no name: name it or take it away" });
      else if (called in made) errors.push({ path: place, reason: "there are two fields of this name" });
      else if (!json) made[called] = value;
      else {
        try {
          made[called] = JSON.parse(value);
        } catch {
          errors.push({ path: place, reason: 'can\'t be read as JSON, such as ["a", "b"] or 12.5' });
        }
      }
    }
    return made;
  };
  const translations = (path, given) => {
    const made = {};
    for (const { tag, fields } of given) {
      const called = tag.trim();
      const place = member(path, called);
      if (!called) errors.push({ path, reason: "a translation has no language: write one, such as sv" });
      else if (called in made) errors.push({ path: place, reason: "there are two translations of this language" });
      else made[called] = offer(place, fields);
    }
    return made;
  };

  const caps = {
    per_profile: form.caps.map(({ max, span }, at) => {
      const path = `$.caps.per_profile[${at}]`;
      if (!max.trim()) errors.push({ path: `${path}.max`, reason: "how many? Or take this limit away" });
      return { max: number(`${path}.max`, max), period_s: seconds(`${path}.period_s`, span) };
    }),
    per_visit: number("$.caps.per_visit", form.perVisit),
    cooldown_s: seconds("$.caps.cooldown_s", form.cooldown),
  };
  const clock = /^([01]\d|2[0-3]):[0-5]\d$/;
  form.hours.forEach(({ from, to }, at) => {
    if (!clock.test(from.trim())) errors.push({ path: `$.schedule.hours[${at}].from`, reason: "write a time, such as 09:00" });
    if (!clock.test(to.trim()) && to.trim() !== "24:00") errors.push({ path: `$.schedule.hours[${at}].to`, reason: "write a time, such as 18:30" });
  });
  const held = number("$.holdout", form.holdout) || 0;
  if (held < 0 || held > 90) errors.push({ path: "$.holdout", reason: "must be within 0 and 90" });
  const schedule = {
    starts: form.starts.trim() || null,
    ends: form.ends.trim() || null,
    days: form.days,
    hours: form.hours.map(({ from, to }) => ({ from: from.trim(), to: to.trim() })),
  };
  const budget = {
    total: number("$.budget.total", form.total),
    per_day: number("$.budget.per_day", form.perDay),
    in: form.unit,
    pacing: form.pacing,
    time_zone: form.zone.trim(),
  };
  const [only] = form.offers;
  const { base } = form;
  const document = {
    ...documentIn(base),
    name: form.name.trim(),
    status: form.status,
    trigger: {
      ...base.trigger,
      on: form.on,
      zones: { ids: form.chosen ? form.ids : [], tags: form.chosen ? form.tags : [], exclude: form.exclude },
      dwell_s: form.on.includes("dwell") ? seconds("$.trigger.dwell_s", form.dwell) : null,
      min_confidence: Number(form.sure),
      initial: form.initial,
      most_specific: form.specific,
    },
    schedule: schedule.starts || schedule.ends || schedule.days.length || schedule.hours.length ? schedule : null,
    consent: { ...base.consent, purpose: form.purpose.trim(), required: form.consentRequired },
    audience: form.rule.trim() || null,
    audiences: form.audiences,
    holdout: held / 100,
    salt: form.salt.trim(),
    caps: caps.per_profile.length || caps.per_visit !== null || caps.cooldown_s !== null ? caps : null,
    budget: budget.total !== null || budget.per_day !== null || form.total || form.perDay ? budget : null,
    cost_per_offer: number("$.cost_per_offer", form.cost) || 0,
    currency: form.currency.trim().toUpperCase(),
    priority: number("$.priority", form.priority) || 0,
    with_others: form.withOthers,
    offer: form.split ? null : offer("$.offer", only.fields),
    translations: form.split ? {} : translations("$.translations", only.translations),
    variants: form.split
      ? form.offers.map((each, at) => {
          const path = `$.variants[${at}]`;
          return {
            id: each.id.trim(),
            weight: number(`${path}.weight`, each.weight) ?? 1,
            offer: offer(`${path}.offer`, each.fields),
            translations: translations(`${path}.translations`, each.translations),
            cost_per_offer: number(`${path}.cost_per_offer`, each.cost),
          };
        })
      : [],
    allocation: form.allocation,
    endpoints: form.endpoints,
    pass_attributes: list(form.pass),
    valid_s: seconds("$.valid_s", form.valid),
    attribution_s: seconds("$.attribution_s", form.attribution) ?? 7 * 86_400,
  };
  if (form.inside) document.include_inside = true;
  return { document, errors };
}

/** What still lacks, in words for people; the API would refuse it less kindly. */
export function lacks(form, starting) {
  const found = [];
  if (!form.name.trim()) found.push({ path: "$.name", reason: "The campaign needs a name." });
  if (!form.on.length) found.push({ path: "$.trigger.on", reason: "Choose what somebody has to do." });
  if (form.on.includes("dwell") && !form.dwell.number.trim()) found.push({ path: "$.trigger.dwell_s", reason: "How long must they stay?" });
  if (form.chosen && !form.ids.length && !form.tags.length) found.push({ path: "$.trigger.zones", reason: "Choose at least one zone or tag." });
  if (!form.endpoints.length) found.push({ path: "$.endpoints", reason: "Choose who is told: at least one endpoint." });
  if (!starting) return found;
  form.offers.forEach((each, at) => {
    if (each.fields.some(({ value }) => value.trim())) return;
    found.push({ path: form.split ? `$.variants[${at}].offer` : "$.offer", reason: "It says nothing yet: write a title or a text." });
  });
  return found;
}

/** The paths that have a field of their own; all else is told at the foot of the form. */
const PLACED =
  /^\$\.(name|trigger\.(on|dwell_s|zones)|audiences?|consent\.purpose|schedule\.(starts|ends|hours)|holdout|salt|caps\.(per_profile|per_visit|cooldown_s)|budget\.(total|per_day|time_zone)|priority|offer|translations|variants|endpoints|pass_attributes|valid_s|attribution_s|cost_per_offer|currency|id)(?=$|[.[])/;

/** What stands at a path of a document. */
function valueAt(document, path) {
  let value = document;
  for (const [, name, index, quoted] of path.matchAll(/\.([\p{L}_][\p{L}\p{N}_]*)|\[(\d+)\]|\['(.*?)'\]/gu)) value = value?.[name ?? index ?? quoted];
  return JSON.stringify(value);
}

/** Those of the errors whose place has not been touched since. */
export const standing = (errors, then, now) => (then ? errors.filter(({ path }) => valueAt(then, path) === valueAt(now, path)) : errors);

const PLAINER = [
  [/^string should match pattern.*/, "is not written as it should be"],
  [/^input should be greater than or equal to (.*)/, "must be at least $1"],
  [/^input should be greater than (.*)/, "must be more than $1"],
  [/^input should be less than or equal to (.*)/, "must be at most $1"],
  [/^input should be less than (.*)/, "must be less than $1"],
  [/^string should have at most (\d+) characters?.*/, "must have at most $1 characters"],
  [/^string should have at least 1 character.*/, "must not be empty"],
  [/^list should have at least 1 item.*/, "choose at least one"],
  [/^input should be a valid integer.*/, "must be a whole number"],
];
const plain = (reason) => PLAINER.reduce((words, [shape, better]) => words.replace(shape, better), reason);

/** What went wrong, by the field where it went wrong. */
export class Wrong {
  constructor(errors = []) {
    this.errors = errors;
  }

  /** What is wrong with the field at this path, or inside of it. */
  at(path) {
    const found = this.errors.filter(
      (each) => each.path === path || each.path.startsWith(`${path}.`) || each.path.startsWith(`${path}[`),
    );
    return found.map(({ reason }) => plain(reason)).map((words) => words[0].toUpperCase() + words.slice(1)).join("; ") || undefined;
  }

  /** What is wrong exactly here, not with a field further inside. */
  exactly(path) {
    return new Wrong(this.errors.filter((each) => each.path === path)).at(path);
  }

  /** What no field tells. */
  get rest() {
    return this.errors.filter(({ path }) => !PLACED.test(path));
  }
}
