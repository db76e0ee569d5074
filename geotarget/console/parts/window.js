// A list of any length: only the rows that can be seen are there, so that ten thousand cost what
// thirty do. All rows of it are equally high; a reader hears which of how many each one is.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";

const ROW = 56; // px; --row of .choices.windowed
const BEYOND = 10;

/**
 * @param {{items: object[], row: (item, more: object) => any}} properties
 *   `row` gives the li and spreads `more` on it.
 */
export function Windowed({ items, row }) {
  const list = useRef();
  const [from, setFrom] = useState(0);
  const [shown, setShown] = useState(40);
  useEffect(() => {
    const look = () => {
      const { top } = list.current.getBoundingClientRect();
      const first = Math.floor(-top / ROW) - BEYOND;
      setFrom(Math.max(0, first - (first % BEYOND)));
      setShown(Math.ceil(innerHeight / ROW) + 3 * BEYOND);
    };
    look();
    const how = { capture: true, passive: true }; // whatever scrolls, the page or the part beside the map
    document.addEventListener("scroll", look, how);
    addEventListener("resize", look);
    return () => {
      document.removeEventListener("scroll", look, how);
      removeEventListener("resize", look);
    };
  }, []);
  const first = Math.min(from, Math.max(0, items.length - shown));
  const rows = items.slice(first, first + shown);
  useEffect(() => {
    const { style } = list.current;
    style.setProperty("--before", `${first * ROW}px`);
    style.setProperty("--after", `${(items.length - first - rows.length) * ROW}px`);
  }, [first, rows.length, items.length]);
  return html`<ul class="choices windowed" ref=${list}>
    ${rows.map((item, at) => row(item, { "aria-setsize": items.length, "aria-posinset": first + at + 1 }))}
  </ul>`;
}
