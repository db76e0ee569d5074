// The map as a part of a page: ground, zones, devices. Without WebGL2 it says so, and the page
// around it goes on: lists and forms can do everything that the map can.
//
// What draws the map is a megabyte; the page is shown first, and the map comes into it.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Unreachable } from "../api.js";
import { theme } from "../theme.js";
import { Empty, Trouble } from "../parts/parts.js";
import { HUES } from "./hues.js";

/** The colour of a zone: always the same for one id, and the tone that the tiles tell of it. */
export function hue(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return HUES[sum % HUES.length];
}

/**
 * A map.
 *
 * @param {{zones: object[], chosen?: string, hidden?: string, onChoose?: (id: string) => void,
 *   onReady?: (map, dots) => void | (() => void), label: string}} properties
 *   `zones`: as listed; the map begins where they are, not before they are known, and is drawn anew
 *   when they change.
 *   `hidden`: the zone that something else draws.
 *   `onReady` gets the map when it can be used, again after a change of colours; what it returns
 *   is called before that.
 */
export function Board({ zones, chosen, hidden, onChoose, onReady, label }) {
  const element = useRef();
  const latest = useRef({});
  latest.current = { zones, chosen, hidden, onChoose, onReady };
  const [canvas, setCanvas] = useState(null);
  const [error, setError] = useState(null);
  const [broken, setBroken] = useState(false);
  const [times, setTimes] = useState(0);

  const known = zones !== undefined;
  useEffect(() => {
    let closed = false;
    let made = null;
    const drawing = import("./canvas.js");
    const draw = ({ open }) => {
      if (closed) return;
      made = open(element.current, latest);
      if (made) setCanvas(made);
      else setBroken(true);
    };
    drawing.then(known ? draw : null).catch(() => closed || setError(new Unreachable()));
    return () => {
      closed = true;
      made?.close();
    };
  }, [known, times]);
  useEffect(() => canvas?.paint(theme.value), [canvas, theme.value]);
  useEffect(() => canvas?.showZones(zones), [canvas, zones]);
  useEffect(() => canvas?.choose(chosen), [canvas, chosen]);
  useEffect(() => canvas?.hide(hidden), [canvas, hidden]);

  if (error) {
    const again = () => {
      setError(null);
      setTimes(times + 1);
    };
    return html`<${Trouble} error=${error} again=${again} />`;
  }
  if (broken) {
    return html`<${Empty} icon="map" title="The map can't be shown">
      <p>This browser has no WebGL2. Everything can be done through the lists and forms beside it.</p>
    <//>`;
  }
  return html`<div class="board" ref=${element} role="region" aria-label=${label}></div>`;
}
