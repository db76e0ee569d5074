// Paged lists as tables: the first page at once, more on demand.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { Button, Trouble, Waiting } from "./parts.js";

/**
 * The pages of a list of the API, one after the other.
 *
 * @returns {{items: object[] | undefined, error, waiting: boolean, more: (() => void) | null, again: () => void}}
 */
export function usePages(path, query, size = 50) {
  const [state, setState] = useState({ items: undefined, next: null, error: null, waiting: true });
  const [times, setTimes] = useState(0);
  const key = JSON.stringify([path, query, times]);
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, waiting: true }));
    get(path, { ...query, limit: size }, { signal: stop.signal }).then(
      (page) => setState({ items: page.items, next: page.next, error: null, waiting: false }),
      (error) => stop.signal.aborted || setState((before) => ({ ...before, error, waiting: false })),
    );
    return () => stop.abort();
  }, [key]);
  const more = async () => {
    setState((before) => ({ ...before, waiting: true }));
    try {
      const page = await get(path, { ...query, limit: size, cursor: state.next });
      setState((before) => ({ items: [...before.items, ...page.items], next: page.next, error: null, waiting: false }));
    } catch (error) {
      setState((before) => ({ ...before, error, waiting: false }));
    }
  };
  return { ...state, more: state.next ? more : null, again: () => setTimes((before) => before + 1) };
}

/**
 * A table of such a list.
 *
 * @param {{pages, caption: string, columns: [string, string?][], row: (item) => any, empty: any}} properties
 *   `columns` are [heading, class]; `row` gives the tr.
 */
export function ListTable({ pages, caption, columns, row, empty }) {
  const { items, error, waiting, more, again } = pages;
  return html`<${Trouble} error=${error} again=${again} />
    ${items === undefined && waiting && html`<${Waiting} what=${`Loading ${caption.toLowerCase()}`} />`}
    ${items?.length === 0 && empty}
    ${items?.length > 0 &&
    html`<div class="scroll">
        <table aria-busy=${waiting}>
          <caption class="unseen">${caption}</caption>
          <thead><tr>${columns.map(([heading, kind = ""]) => html`<th scope="col" key=${heading} class=${kind}>${heading}</th>`)}</tr></thead>
          <tbody>${items.map(row)}</tbody>
        </table>
      </div>
      ${more && html`<div class="more"><${Button} busy=${waiting} onClick=${more}>Show more<//></div>`}`}`;
}
