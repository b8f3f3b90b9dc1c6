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

function singleKeys() {
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
  document.dispatchEvent(new CustomEvent("palette", { detail: "commands" }));
}

function Commands({ close }) {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const own = useRef(null);
  const options = useRef(null);
  const shown = found(registered(), query);
  const now = Math.min(at, shown.length - 1);
  useEffect(() => own.current.showModal(), []);
  useLayoutEffect(() => options.current?.children[now]?.scrollIntoView({ block: "nearest" }), [now, query]);
  const run = (command) => {
    // First the dialog gives the focus back, then the command may take it.
    own.current.close();
    command.run();
  };
  const keys = (event) => {
    const last = shown.length - 1;
    const to = { ArrowDown: now === last ? 0 : now + 1, ArrowUp: now <= 0 ? last : now - 1, PageDown: Math.min(last, now + PAGE), PageUp: Math.max(0, now - PAGE) }[event.key];
    if (event.key === "Enter" && shown[now]) {
      event.preventDefault();
      run(shown[now]);
    } else if (to !== undefined) {
      event.preventDefault();
      setAt(to);
    }
  };
  const outside = (event) => event.target === own.current && close();
  const write = (event) => {
    setQuery(event.target.value);
    setAt(0);
  };
  return html`<dialog ref=${own} class="palette" aria-label=${t("palette")} onClose=${close} onClick=${outside}>
    <input role="combobox" aria-expanded="true" aria-controls="commands" aria-autocomplete="list" aria-label=${t("palette")} placeholder=${t("palette.placeholder")}
      aria-activedescendant=${shown.length ? `command-${now}` : null} autocomplete="off" spellcheck=${false} value=${query} onInput=${write} onKeyDown=${keys} />
    <p class="hidden-text" role="status">${shown.length ? t("palette.count", { count: shown.length }) : t("palette.none")}</p>
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
  const rows = [["Ctrl+K", t("palette")], ["/", t("keys.search")], ["?", t("keys")], ...own.map((each) => [each.key, each.label]), ["Esc", t("keys.close")]];
  return html`<${Dialog} title=${t("keys")} close=${close}>
    <dl class="keys">${rows.map(([key, what]) => html`<dt>${key.split("+").map((each) => html`<kbd>${each}</kbd> `)}</dt><dd>${what}</dd>`)}</dl>
    <label class="check"><input type="checkbox" checked=${single} onChange=${set} />${t("keys.single")}</label>
  <//>`;
}

/** Waits for the keys of all pages; shows the palette or the list of keys. */
export function Palette() {
  const [opened, setOpened] = useState(null);
  useEffect(() => {
    const told = (event) => setOpened(event.detail);
    const keys = (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpened("commands");
        return;
      }
      if (!singleKeys()) return;
      const every = [
        { key: "/", run: () => search() || setOpened("commands") },
        { key: "?", run: () => setOpened("keys") },
      ];
      const command = pressed([...every, ...registered()], event);
      if (!command) return;
      event.preventDefault();
      command.run();
    };
    document.addEventListener("palette", told);
    addEventListener("keydown", keys);
    return () => {
      document.removeEventListener("palette", told);
      removeEventListener("keydown", keys);
    };
  }, []);
  const close = () => setOpened(null);
  if (opened === "commands") return html`<${Commands} close=${close} />`;
  return opened === "keys" ? html`<${Keys} close=${close} />` : null;
}
