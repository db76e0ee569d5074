// Where in a GeoJSON text something is: line and column, for people who open it in an editor.

/** Whether a text could still become JSON if more came. */
function isBeginning(text) {
  try {
    JSON.parse(text);
    return true;
  } catch ({ message }) {
    const at = /position (\d+)/.exec(message);
    return /end of JSON|Unterminated/.test(message) || (at !== null && Number(at[1]) >= text.length);
  }
}

/** Where a text stops being JSON, in words. Browsers don't always say, so it is halved until found. */
export function placeOf(text) {
  let [good, bad] = [0, text.length + 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isBeginning(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  const before = text.slice(0, good).split("\n");
  return `Line ${before.length}, column ${before.at(-1).length + 1}`;
}

const SPACE = /[\s,:]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const PLAIN = /[^\s,\]}"[{]+/y;

const past = (pattern, text, at) => {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
};

/** The end of the value that begins at a position. */
function endOf(text, at) {
  if (text[at] === '"') return past(STRING, text, at);
  if (text[at] !== "{" && text[at] !== "[") return past(PLAIN, text, at);
  let depth = 0;
  for (let here = at; here < text.length; here++) {
    const letter = text[here];
    if (letter === '"') here = past(STRING, text, here) - 1;
    else if (letter === "{" || letter === "[") depth += 1;
    else if (letter === "}" || letter === "]") {
      depth -= 1;
      if (!depth) return here + 1;
    }
  }
  return text.length;
}

/** Where the items of the array or the members of the object at a position begin, by index or name. */
function* inside(text, at) {
  const isArray = text[at] === "[";
  let here = past(SPACE, text, at + 1);
  for (let index = 0; here < text.length && text[here] !== "]" && text[here] !== "}"; index++) {
    let name = index;
    if (!isArray) {
      const end = past(STRING, text, here);
      name = JSON.parse(text.slice(here, end));
      here = past(SPACE, text, end);
    }
    yield [name, here];
    here = past(SPACE, text, endOf(text, here));
  }
}

const STEP = /\.([^.[]+)|\[(\d+)\]/g;

/**
 * What tells the lines of paths such as `$.features[3].geometry.coordinates[0]` in a text that is
 * JSON: of a path that leads nowhere, the line of what it would be in. The features are looked for
 * once, so that each path costs one feature.
 */
export function linesOf(text) {
  const top = past(SPACE, text, 0);
  const members = text[top] === "{" ? new Map(inside(text, top)) : new Map();
  const list = members.get("features");
  const features = text[list] === "[" ? [...inside(text, list)].map(([, at]) => at) : [];
  const breaks = [];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) breaks.push(at);
  const lineAt = (position) => {
    let [low, high] = [0, breaks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (breaks[middle] < position) low = middle + 1;
      else high = middle;
    }
    return low + 1;
  };
  return (path) => {
    const steps = [...path.matchAll(STEP)].map(([, name, index]) => (name === undefined ? Number(index) : name));
    let at = top;
    if (steps[0] === "features" && steps[1] in features) at = features[steps.splice(0, 2)[1]];
    for (const step of steps) {
      if (text[at] !== "{" && text[at] !== "[") break;
      const found = [...inside(text, at)].find(([name]) => name === step);
      if (!found) break;
      at = found[1];
    }
    return lineAt(at);
  };
}
