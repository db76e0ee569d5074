// Numbers, money and times as the reader's own language writes them.

const language = navigator.language;
const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });

export const NONE = "–";

/** 12,345 */
export const count = (number) => (number == null ? NONE : whole.format(number));

/** 12.3K from ten thousand on */
export const figure = (number) =>
  number == null ? NONE : Math.abs(number) < 10_000 ? whole.format(number) : short.format(number);

/** 12.5 % */
export function share(part, digits = 1) {
  if (part == null || Number.isNaN(part)) return NONE;
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: digits }).format(part);
}

/** €1,234.50 */
export function money(amount, currency = "EUR") {
  if (amount == null) return NONE;
  return new Intl.NumberFormat(language, { style: "currency", currency }).format(amount);
}

const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const near = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const far = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const dateShort = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const dateOnly = new Intl.DateTimeFormat(language, { dateStyle: "medium" });

/** The time of day, if it was today; else the date with it. */
export function instant(text) {
  if (!text) return NONE;
  const moment = new Date(text);
  const today = new Date();
  if (moment.toDateString() === today.toDateString()) return clock.format(moment);
  return moment.getFullYear() === today.getFullYear() ? near.format(moment) : far.format(moment);
}

export const full = (text) => (text ? far.format(new Date(text)) : NONE);
export const day = (text) => (text ? dateOnly.format(moment(text)) : NONE);

/** A day without a time is one of the reader's own, whatever the zone. */
export const moment = (text) => new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);

/** 24 Oct; of milliseconds */
export const date = (ms) => dateShort.format(ms);

const STEPS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** 3 min ago */
export function ago(text, now = Date.now()) {
  if (!text) return NONE;
  const seconds = (new Date(text).getTime() - now) / 1000;
  const [unit, size] = STEPS.find(([, each]) => Math.abs(seconds) >= each) || STEPS.at(-1);
  return relative.format(Math.round(seconds / size), unit);
}

/** 1 h 20 min */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const parts = [];
  let left = Math.round(seconds);
  for (const [name, size] of [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]]) {
    const times = Math.floor(left / size);
    if (times) parts.push(`${times} ${name}`);
    left -= times * size;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

/** 450 m, 1.2 km */
export function metres(length) {
  if (length == null) return NONE;
  const far = Math.abs(length) >= 1000;
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: far ? "kilometer" : "meter",
    maximumFractionDigits: far ? 1 : 0,
  }).format(far ? length / 1000 : length);
}

/** 4,500 m², 1.25 km² */
export function surface(squareMetres) {
  if (squareMetres == null) return NONE;
  if (squareMetres < 1e5) return `${whole.format(squareMetres)} m²`;
  return `${new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(squareMetres / 1e6)} km²`;
}

/** one zone, 2 zones */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;
