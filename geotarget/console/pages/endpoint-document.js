// What is typed about an endpoint, as the API's document: with what is wrong, by field.

const UNITS = { s: 1, min: 60, h: 3600, d: 86_400 };
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.+)$/;

/** The fields of a form, from an endpoint's answer or from nothing. */
export function typed(endpoint) {
  const number = (value) => (value == null ? "" : String(value));
  return {
    id: endpoint?.id || "",
    url: endpoint?.url || "",
    description: endpoint?.description || "",
    offers: !endpoint?.events || endpoint.events.includes("offer.triggered"),
    events: new Set((endpoint?.events || []).filter((each) => each !== "offer.triggered")),
    scheme: endpoint?.scheme || "hmac",
    rate: number(endpoint?.rate_per_s),
    concurrency: number(endpoint?.concurrency),
    retries: endpoint?.retry_delays_s ? "own" : "usual",
    delays: (endpoint?.retry_delays_s || [5, 60, 600, 3600]).map(written).join(", "),
    ordered: Boolean(endpoint?.ordered),
    position: endpoint?.position || "none",
    sends: endpoint?.headers?.length ? "keep" : "none",
    headers: "",
  };
}

/** 300 as "5 min": in the largest unit that takes it whole. */
function written(seconds) {
  const [unit, size] = Object.entries(UNITS).reverse().find(([, each]) => seconds && seconds % each === 0) || ["s", 1];
  return `${seconds / size} ${unit}`;
}

/** "5 s, 5 min" as seconds; null where one of them can't be read. */
function delaysOf(text) {
  const parts = text.split(",").map((each) => each.trim()).filter(Boolean);
  const seconds = parts.map((each) => {
    const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(s|min|h|d)?$/.exec(each) || [];
    return number === undefined ? Number.NaN : Number(number) * UNITS[unit];
  });
  return seconds.some((each) => Number.isNaN(each)) ? null : seconds;
}

/** "Name: value" lines by name; null where one can't be read. */
function headersOf(text) {
  const lines = text.split("\n").map((each) => each.trim()).filter(Boolean);
  const found = lines.map((each) => HEADER.exec(each));
  return found.some((each) => !each) ? null : Object.fromEntries(found.map(([, name, value]) => [name, value]));
}

/** {document, wrong}: what to put, and what is wrong by field; it may be put when that is empty. */
export function read(form, endpoint, known) {
  const wrong = {};
  const id = form.id.trim();
  if (!id) wrong.id = "The endpoint needs an id.";
  else if (!endpoint && known.includes(id)) wrong.id = "There is an endpoint of this id already.";
  if (!/^https?:\/\/./.test(form.url.trim())) wrong.url = "An address begins with https://";
  for (const name of ["rate", "concurrency"]) {
    if (form[name].trim() && !(Number(form[name]) > 0)) wrong[name] = "This must be a number over 0.";
  }
  if (!form.offers && !form.events.size) wrong.events = "Choose at least one.";
  const delays = delaysOf(form.delays);
  if (form.retries === "own") {
    if (!delays) wrong.delays = "Pauses with a comma between, such as 5 s, 5 min, 2 h.";
    else if (delays.length > 20) wrong.delays = `At most 20 pauses, not ${delays.length}.`;
    else if (delays.some((each) => each > 7 * UNITS.d)) wrong.delays = "A pause is at most 7 d.";
  }
  const headers = form.sends === "new" ? headersOf(form.headers) : form.sends === "keep" ? null : {};
  if (form.sends === "new" && !headers) wrong.headers = "One header a line, such as Authorization: Bearer abc.";
  else if (form.sends === "new" && !Object.keys(headers).length) wrong.headers = "Give at least one, or choose none.";
  const off = endpoint?.state === "disabled";
  const document = {
    url: form.url.trim(),
    description: form.description.trim(),
    events: form.events.size || !form.offers ? [...(form.offers ? ["offer.triggered"] : []), ...form.events] : null,
    rate_per_s: form.rate.trim() ? Number(form.rate) : null,
    concurrency: form.concurrency.trim() ? Number(form.concurrency) : null,
    enabled: !off,
    ...(off && { disabled_reason: endpoint.disabled_reason }),
    ...(!endpoint && { scheme: form.scheme }),
    headers,
    retry_delays_s: form.retries === "own" ? delays : null,
    ordered: form.ordered,
    position: form.position,
  };
  return { document, wrong };
}
