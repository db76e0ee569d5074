// Conditions that people choose, as a rule in CEL, and back.
//
// The rule is the truth; conditions are a way to write it. A rule that says more than conditions can
// is left alone: `conditionsOf` answers null.

/** A condition as it begins, by its kind. */
export const BLANKS = {
  attribute: { kind: "attribute", name: "", op: "==", value: "" },
  visited: { kind: "visited", where: "here", target: "", op: ">=", times: "1", days: "30" },
  away: { kind: "away", where: "here", target: "", days: "30" },
  bought: { kind: "bought", category: "", op: ">=", times: "1", days: "30" },
  spent: { kind: "spent", amount: "50", days: "30" },
  offered: { kind: "offered", times: "3", days: "7" },
};

/** Operators of attributes: [operator, words, whether a value follows]. */
export const OPERATORS = [
  ["==", "is", true],
  ["!=", "is known and is not", true],
  [">=", "is at least", true],
  ["<=", "is at most", true],
  ["contains", "contains the text", true],
  ["has", "has in its list", true],
  ["known", "is known", false],
];

const quoted = (text) => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'").replace(/\n/g, "\\n")}'`;
const unquoted = (text) => text.slice(1, -1).replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));

/** A typed value: numbers, true and false are what they look like; in quotes anything is a text. */
function literal(typed) {
  const text = typed.trim();
  if (/^-?\d+(\.\d+)?$/.test(text) || text === "true" || text === "false") return text;
  return quoted(/^'.*'$/s.test(text) ? text.slice(1, -1) : text);
}

/** What would have been typed. */
function typedOf(written) {
  if (!/^['"]/.test(written)) return written;
  const text = unquoted(written);
  return literal(text) === written.replace(/^"|"$/g, "'") ? text : `'${text}'`;
}

const attribute = (name) => (/^[A-Za-z_]\w*$/.test(name) ? `profile.${name}` : `profile[${quoted(name)}]`);
const whole = (text) => (/^\d+$/.test(text.trim()) ? text.trim() : null);
const decimal = (text) => (/^\d+([.,]\d+)?$/.test(text.trim()) ? text.trim().replace(",", ".") : null);

/** One condition in CEL; null while something of it is missing. */
export function celOf(condition) {
  const { kind, op, where, target, category } = condition;
  const [times, days] = [whole(condition.times || ""), whole(condition.days || "")];
  if (kind === "attribute") {
    const name = condition.name.trim();
    if (!name) return null;
    if (op === "known") return `${quoted(name)} in profile`;
    if (!condition.value.trim()) return null;
    const value = literal(condition.value);
    if (op === "contains") return `${attribute(name)}.contains(${value.startsWith("'") ? value : quoted(value)})`;
    if (op === "has") return `${value} in ${attribute(name)}`;
    return `${attribute(name)} ${op} ${value}`;
  }
  if (days === null) return null;
  if (kind === "visited") {
    if (times === null) return null;
    const counts = { here: `here(${days})`, total: `total(${days})`, zone: `zone(${quoted(target)}, ${days})`, tag: `tag(${quoted(target)}, ${days})` };
    return (where === "zone" || where === "tag") && !target ? null : `visits.${counts[where]} ${op} ${times}`;
  }
  if (kind === "away") {
    const since = { here: "here()", zone: `zone(${quoted(target)})`, tag: `tag(${quoted(target)})` };
    return where !== "here" && !target ? null : `visits.days_since_${since[where]} > ${days}`;
  }
  if (kind === "bought") return times === null ? null : `purchases.count(${category.trim() ? `${quoted(category.trim())}, ` : ""}${days}) ${op} ${times}`;
  if (kind === "spent") {
    const amount = decimal(condition.amount);
    return amount === null ? null : `purchases.value(${days}) >= ${amount}`;
  }
  return times === null ? null : `offers.total(${days}) < ${times}`;
}

/** The rule of all conditions that are complete; `join` is && or ||. */
export const ruleOf = ({ join, conditions }) => conditions.map(celOf).filter(Boolean).join(` ${join} `);

const TEXT = String.raw`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`;
const VALUE = String.raw`(-?\d+(?:\.\d+)?|true|false|${TEXT})`;
const FIELD = String.raw`profile(?:\.([A-Za-z_]\w*)|\[(${TEXT})\])`;
const COUNT = String.raw`\s*(>=|<|==)\s*(\d+)`;
const DAYS = String.raw`\s*(\d+)\s*`;
const PLACE = String.raw`(?:(here|total)\(${DAYS}\)|(zone|tag)\(\s*(${TEXT})\s*,${DAYS}\))`;

const named = (plain, text) => plain || unquoted(text);

const SHAPES = [
  [`${FIELD}\\s*(==|!=|>=|<=)\\s*${VALUE}`, ([plain, text, op, value]) => ({ kind: "attribute", name: named(plain, text), op, value: typedOf(value) })],
  [`${FIELD}\\.contains\\(\\s*(${TEXT})\\s*\\)`, ([plain, text, value]) => ({ kind: "attribute", name: named(plain, text), op: "contains", value: typedOf(value) })],
  [`has\\(\\s*profile\\.([A-Za-z_]\\w*)\\s*\\)`, ([name]) => ({ kind: "attribute", name, op: "known", value: "" })],
  [`(${TEXT})\\s+in\\s+profile`, ([name]) => ({ kind: "attribute", name: unquoted(name), op: "known", value: "" })],
  [`${VALUE}\\s+in\\s+${FIELD}`, ([value, plain, text]) => ({ kind: "attribute", name: named(plain, text), op: "has", value: typedOf(value) })],
  [
    `visits\\.${PLACE}${COUNT}`,
    ([place, days, kind, target, daysThere, op, times]) => ({
      kind: "visited", where: place || kind, target: target ? unquoted(target) : "", op, times, days: days || daysThere,
    }),
  ],
  [
    `visits\\.days_since_(?:(here)\\(\\)|(zone|tag)\\(\\s*(${TEXT})\\s*\\))\\s*>\\s*(\\d+)`,
    ([here, kind, target, days]) => ({ kind: "away", where: here || kind, target: target ? unquoted(target) : "", days }),
  ],
  [
    `purchases\\.count\\((?:\\s*(${TEXT})\\s*,)?${DAYS}\\)${COUNT}`,
    ([category, days, op, times]) => ({ kind: "bought", category: category ? unquoted(category) : "", op, times, days }),
  ],
  [`purchases\\.value\\(${DAYS}\\)\\s*>=\\s*(\\d+(?:\\.\\d+)?)`, ([days, amount]) => ({ kind: "spent", amount, days })],
  [`offers\\.total\\(${DAYS}\\)\\s*<\\s*(\\d+)`, ([days, times]) => ({ kind: "offered", times, days })],
].map(([shape, read]) => [new RegExp(`^${shape}$`, "s"), read]);

/** The pieces between `join`s that stand in no brackets and no text. */
function split(rule, join) {
  const pieces = [""];
  let depth = 0;
  for (let at = 0; at < rule.length; at += 1) {
    const text = new RegExp(TEXT, "sy");
    text.lastIndex = at;
    const found = text.exec(rule);
    if (found) {
      pieces[pieces.length - 1] += found[0];
      at += found[0].length - 1;
    } else if (depth === 0 && rule.startsWith(join, at)) {
      pieces.push("");
      at += 1;
    } else {
      if ("([{".includes(rule[at])) depth += 1;
      if (")]}".includes(rule[at])) depth -= 1;
      pieces[pieces.length - 1] += rule[at];
    }
  }
  return pieces.map((each) => each.trim());
}

function read(piece) {
  for (const [shape, condition] of SHAPES) {
    const found = shape.exec(piece);
    if (found) return condition(found.slice(1));
  }
  return null;
}

/**
 * The conditions that make a rule.
 *
 * @returns {{join: "&&" | "||", conditions: object[]} | null} Null when it says more than they can.
 */
export function conditionsOf(rule) {
  if (!rule.trim()) return { join: "&&", conditions: [] };
  for (const join of ["&&", "||"]) {
    const conditions = split(rule.trim(), join).map(read);
    if (conditions.every(Boolean)) return { join, conditions };
  }
  return null;
}

/** Where a rule is wrong: {line, column, text} of "line 2, column 7: …"; null when it is not said. */
export function placeIn(rule, reason) {
  const found = /(?:line (\d+), )?column (\d+)/i.exec(reason || "");
  if (!found) return null;
  const line = Number(found[1] || 1);
  return { line, column: Number(found[2]), text: rule.split("\n")[line - 1] ?? "" };
}
