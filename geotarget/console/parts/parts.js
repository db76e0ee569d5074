// The small pieces that every page is made of.

import { html, useEffect, useId, useRef, useState } from "../vendor/preact.js";
import { Unreachable } from "../api.js";
import { live } from "../live.js";

/** One of the icons of icons.svg; decoration, so no reader hears it. */
export const Icon = ({ name, small }) =>
  html`<svg class=${small ? "icon small" : "icon"} aria-hidden="true"><use href=${`vendor/icons.svg#${name}`} /></svg>`;

/** A button; `label` names it where only an icon is seen. A busy one keeps the focus, and does nothing. */
export function Button({ icon, label, kind = "", busy = false, disabled = false, onClick, children, ...rest }) {
  const square = !children;
  const click = (event) => (busy ? event.preventDefault() : onClick?.(event));
  return html`<button
    type="button"
    class=${`button ${kind} ${square ? "square" : ""}`}
    aria-label=${label}
    title=${square ? label : undefined}
    aria-busy=${busy || undefined}
    aria-disabled=${busy || undefined}
    disabled=${disabled}
    onClick=${click}
    ...${rest}
  >
    ${icon && html`<${Icon} name=${busy ? "refresh-cw" : icon} />`}${children}
  </button>`;
}

export const Tag = ({ kind = "", icon, children }) =>
  html`<span class=${`tag ${kind}`}>${icon && html`<${Icon} name=${icon} small />`}${children}</span>`;

/** A field with its label, hint and what is wrong with it, wired for screen readers. */
export function Field({ label, hint, wrong, wide, children }) {
  const id = useId();
  const told = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return html`<div class=${wide ? "field wide" : "field"}>
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": told || undefined, "aria-invalid": wrong ? "true" : undefined })}
    ${hint && html`<span class="hint" id=${`${id}-hint`}>${hint}</span>`}
    ${wrong && html`<span class="wrong" id=${`${id}-wrong`}><${Icon} name="circle-alert" small />${wrong}</span>`}
  </div>`;
}

/** A line of text to fill in. */
export const Text = ({ label, hint, wrong, wide, value, onValue, type = "text", ...rest }) =>
  html`<${Field} ...${{ label, hint, wrong, wide }}>
    ${(wiring) => html`<input type=${type} value=${value} onInput=${(event) => onValue(event.target.value)} ...${wiring} ...${rest} />`}
  <//>`;

export const Area = ({ label, hint, wrong, wide, value, onValue, code, ...rest }) =>
  html`<${Field} ...${{ label, hint, wrong, wide }}>
    ${(wiring) =>
      html`<textarea class=${code ? "code" : ""} value=${value} onInput=${(event) => onValue(event.target.value)} ...${wiring} ...${rest}></textarea>`}
  <//>`;

/** One of several; `options` are [value, words]. */
export const Select = ({ label, hint, wrong, wide, value, onValue, options, ...rest }) =>
  html`<${Field} ...${{ label, hint, wrong, wide }}>
    ${(wiring) =>
      html`<select value=${value} onChange=${(event) => onValue(event.target.value)} ...${wiring} ...${rest}>
        ${options.map(([each, words]) => html`<option key=${each} value=${each} selected=${each === value}>${words}</option>`)}
      </select>`}
  <//>`;

/** Yes or no. */
export function Check({ label, hint, value, onValue, ...rest }) {
  const id = useId();
  return html`<div class="choice">
    <input type="checkbox" id=${id} checked=${value} onChange=${(event) => onValue(event.target.checked)} ...${rest} />
    <label for=${id}>${label}${hint && html`<small>${hint}</small>`}</label>
  </div>`;
}

/** What went wrong and what to do; says each thing that the API named. Asks again when geotarget is back. */
export function Trouble({ error, again }) {
  const away = error instanceof Unreachable;
  useEffect(() => {
    if (!away || !again) return undefined;
    let lost = live.state.value !== "live";
    return live.state.subscribe((state) => {
      if (lost && state === "live") again();
      lost = state !== "live";
    });
  }, [error]);
  if (!error) return null;
  return html`<div class="notice bad" role="alert">
    <${Icon} name=${away ? "radio-tower" : "circle-alert"} />
    <div>
      ${error.errors?.length
        ? html`${error.title || "That can't be accepted"}
            <ul>
              ${error.errors.slice(0, 8).map((each) => html`<li key=${each.path}><code>${each.path}</code> ${each.reason}</li>`)}
              ${error.errors.length > 8 && html`<li>and ${error.errors.length - 8} more</li>`}
            </ul>`
        : error.message}
      ${again && html`<div><${Button} kind="small" icon="refresh-cw" onClick=${again}>Try again<//></div>`}
    </div>
  </div>`;
}

/** Nothing here yet, and what to do about it. */
export const Empty = ({ icon, title, children }) =>
  html`<div class="empty"><${Icon} name=${icon} /><h3>${title}</h3>${children}</div>`;

export const Waiting = ({ what = "Loading" }) =>
  html`<div class="waiting" role="status"><span class="unseen">${what} …</span><i></i><i></i><i></i></div>`;

/** Ids and names: whole words where they fit, broken where not, in their own direction. */
export const Name = ({ children }) => html`<bdi class="long">${children}</bdi>`;

/** A dialog that the browser itself keeps the focus in; `onClose` hears Escape, too. */
export function Dialog({ title, wide, onClose, onSubmit, foot, children }) {
  const ref = useRef();
  const id = useId();
  useEffect(() => {
    const element = ref.current;
    const opener = document.activeElement;
    element.showModal();
    return () => {
      element.close(); // gone from the page by now, so the browser gives the focus back to nobody
      if (document.activeElement !== document.body) return;
      const there = opener.isConnected && opener !== document.body;
      (there ? opener : document.getElementById("page"))?.focus({ preventScroll: true });
    };
  }, []);
  const inner = html`
    <div class="dialog-head">
      <h2 id=${id}>${title}</h2>
      <${Button} kind="quiet small" icon="x" label="Close" onClick=${onClose} />
    </div>
    <div class="dialog-body">${children}</div>
    ${foot && html`<div class="dialog-foot">${foot}</div>`}
  `;
  const submit = (event) => {
    event.preventDefault();
    onSubmit();
  };
  return html`<dialog
    ref=${ref}
    class=${wide ? "wide" : ""}
    aria-labelledby=${id}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}
  >
    ${onSubmit ? html`<form onSubmit=${submit} novalidate>${inner}</form>` : html`<div class="inside">${inner}</div>`}
  </dialog>`;
}

/**
 * What a promise came to, asked again when `keys` change.
 * Returns {value, error, waiting, again}; an answer that was overtaken is thrown away.
 */
export function useAnswer(question, keys = []) {
  const [state, setState] = useState({ value: undefined, error: null, waiting: true });
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, waiting: true }));
    question(stop.signal).then(
      (value) => !stop.signal.aborted && setState({ value, error: null, waiting: false }),
      (error) => !stop.signal.aborted && setState((before) => ({ value: before.value, error, waiting: false })),
    );
    return () => stop.abort();
  }, [...keys, times]);
  return { ...state, again: () => setTimes((before) => before + 1) };
}

/** Copies a text; says so for a moment. */
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => navigator.clipboard.writeText(text).then(() => setDone(true));
  if (!navigator.clipboard) return null; // a page without TLS on another machine has none
  return html`<${Button} kind="small" icon=${done ? "check" : "copy"} onClick=${copy}>${done ? "Copied" : label}<//>`;
}
