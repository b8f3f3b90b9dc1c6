// The command palette of every page, and the list of its keys.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { found, pressed, register, registered } from "./commands.js";
import { Dialog } from "./dialog.js";
import { t } from "./language.js";

export const SHORTCUT = "Control+K Meta+K";
const SINGLE = "single-keys";
// How many options an arrow with Page in its name moves by.
const PAGE = 8;

/** Have these commands as long as the component is there; `list` is called at each render. */
export function useCommands(list) {
  const source = useRef({}).current;
  useEffect(() => register(source, list()));
  useEffect(() => () => register(source, []), []);
}

/** Return whether keys without Ctrl do something. */
export function singleKeys() {
  try {
    return localStorage.getItem(SINGLE) !== "off";
  } catch {
    return true;
  }
}

/** Focus the search field of the page; return false if it has none that is seen. */
function search() {
  const field = [...document.querySelectorAll("[data-search]")].find((each) => each.offsetParent !== null);
  field?.focus();
  field?.select();
  return Boolean(field);
}

export function openPalette() {
  document.dispatchEvent(new CustomEvent("palette"));
}

/**
 * The palette is always there, and opens at once: what is typed behind Ctrl+K is its text, however
 * busy the page is. So what Enter runs is found by the text in the field, not by what was painted.
 */
function Commands({ own }) {
  const [query, setQuery] = useState(null);
  const [at, setAt] = useState(0);
  const field = useRef(null);
  const options = useRef(null);
  const shown = query === null ? [] : found(registered(), query);
  const now = Math.min(at, shown.length - 1);
  useLayoutEffect(() => options.current.children[now]?.scrollIntoView({ block: "nearest" }), [now, query]);
  own.current = () => {
    field.current.value = "";
    const dialog = field.current.closest("dialog");
    if (!dialog.open) dialog.showModal();
    field.current.focus();
    setQuery("");
    setAt(0);
  };
  // Where nothing had the focus before, the browser leaves it in the closed dialog for a while.
  const leave = () => {
    field.current.blur();
    setQuery(null);
  };
  const run = (command) => {
    // First the dialog gives the focus back, then the command may take it.
    field.current.closest("dialog").close();
    leave();
    command.run();
  };
  const keys = (event) => {
    const text = event.target.value;
    const last = shown.length - 1;
    const to = { ArrowDown: now === last ? 0 : now + 1, ArrowUp: now <= 0 ? last : now - 1, PageDown: Math.min(last, now + PAGE), PageUp: Math.max(0, now - PAGE) }[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      const command = text === query ? shown[now] : found(registered(), text)[0];
      if (command) run(command);
    } else if (to !== undefined) {
      event.preventDefault();
      setAt(to);
    }
  };
  const outside = (event) => event.target === event.currentTarget && event.currentTarget.close();
  const write = (event) => {
    setQuery(event.target.value);
    setAt(0);
  };
  return html`<dialog class="palette" aria-label=${t("palette")} onClose=${(event) => event.currentTarget.open || leave()} onClick=${outside}>
    <input ref=${field} role="combobox" aria-expanded=${shown.length > 0 ? "true" : "false"} aria-controls="commands" aria-autocomplete="list" aria-label=${t("palette")} placeholder=${t("palette.placeholder")}
      aria-activedescendant=${shown.length ? `command-${now}` : null} autocomplete="off" spellcheck=${false} onInput=${write} onKeyDown=${keys} />
    <p class="hidden-text" role="status">${query !== null && (shown.length ? t("palette.count", { count: shown.length }) : t("palette.none"))}</p>
    <ul id="commands" ref=${options} role="listbox" aria-label=${t("palette")} hidden=${!shown.length}>
      ${shown.map((command, index) => html`<li key=${command.id} id=${`command-${index}`} role="option" aria-selected=${index === now} onMouseMove=${() => index !== now && setAt(index)} onClick=${() => run(command)}>
        <span>${command.label}</span>${command.group && html`<span class="soft">${command.group}</span>`}${command.key && html`<kbd>${command.key}</kbd>`}</li>`)}
    </ul>
    ${!shown.length && html`<p class="none" aria-hidden="true">${t("palette.none")}</p>`}
  </dialog>`;
}

function Keys({ close }) {
  const [single, setSingle] = useState(singleKeys());
  const own = registered().filter((each) => each.key);
  const set = (event) => {
    setSingle(event.target.checked);
    try {
      localStorage.setItem(SINGLE, event.target.checked ? "on" : "off");
    } catch {
      // Without storage they are always on.
    }
  };
  const rows = [[t("keys.palette.key"), t("palette")], ["/", t("keys.search")], ["?", t("keys")], ...own.map((each) => [each.key, each.label]), ["Esc", t("keys.close")]];
  return html`<${Dialog} title=${t("keys")} close=${close}>
    <dl class="keys">${rows.map(([key, what]) => html`<dt>${key.split("+").map((each) => html`<kbd>${each}</kbd> `)}</dt><dd>${what}</dd>`)}</dl>
    <label class="check"><input type="checkbox" checked=${single} onChange=${set} />${t("keys.single")}</label>
  <//>`;
}

/** Waits for the keys of all pages; shows the palette or the list of keys. */
export function Palette() {
  const [listed, setListed] = useState(false);
  const open = useRef(null);
  useEffect(() => {
    const commands = () => open.current();
    const every = [
      { key: "/", run: () => search() || commands() },
      { key: "?", run: () => setListed(true) },
    ];
    const keys = (event) => {
      const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
      const called = (ctrlKey || metaKey) && !altKey && !shiftKey && key.toLowerCase() === "k";
      const command = called ? { run: commands } : singleKeys() && pressed([...every, ...registered()], event);
      if (!command) return;
      event.preventDefault();
      command.run();
    };
    document.addEventListener("palette", commands);
    addEventListener("keydown", keys);
    return () => {
      document.removeEventListener("palette", commands);
      removeEventListener("keydown", keys);
    };
  }, []);
  return html`<${Commands} own=${open} />${listed && html`<${Keys} close=${() => setListed(false)} />`}`;
}
