// What every page has: its language and formats, the bar at its top, copying, asking the gateway.

import { html, render, useCallback, useEffect, useRef, useState } from "../vendor/preact.js";
import { Icon } from "./icon.js";
import { format, language, t } from "./language.js";
import { openPalette, Palette, SHORTCUT, useCommands } from "./palette.js";
import { kept } from "./tab.js";
import { LANGUAGES } from "./words.js";

export { format, Icon, language, t, useCommands };

const ADDRESSES = { home: "/", playground: "/playground/", live: "/live/", admin: "/admin/", user: "/user/" };

function speak(code) {
  try {
    localStorage.setItem("language", code);
  } catch {
    return; // Without storage the browser's own language holds.
  }
  location.reload();
}

/** Whether this tab belongs to an operator, see `admin/gateway.js`. */
function operates() {
  return location.pathname === "/admin/" || kept("admin-token") !== null;
}

/** The bar at the top; `here` is the key of the page. */
function Top({ here, children }) {
  const [dark, setDark] = useState(document.documentElement.dataset.theme === "dark");
  const turn = () => {
    document.dispatchEvent(new CustomEvent("themechosen", { detail: dark ? "light" : "dark" }));
    setDark(!dark);
  };
  useEffect(() => {
    // After the same event has changed the theme, unless the person has chosen one.
    const system = matchMedia("(prefers-color-scheme: dark)");
    const seen = () => setDark(document.documentElement.dataset.theme === "dark");
    system.addEventListener("change", seen);
    return () => system.removeEventListener("change", seen);
  }, []);
  const pages = ["home", "playground", "live", operates() && "admin", here === "user" && "user"].filter(Boolean);
  useCommands(() => [
    ...pages.filter((page) => page !== here).map((page) => ({ id: `go.${page}`, label: t(`nav.${page}`), group: t("nav"), run: () => location.assign(ADDRESSES[page]) })),
    { id: "theme", label: t(dark ? "theme.light" : "theme.dark"), run: turn },
    ...Object.keys(LANGUAGES).filter((code) => code !== language).map((code) => ({ id: `speak.${code}`, label: LANGUAGES[code], group: t("language"), run: () => speak(code) })),
  ]);
  const link = (page) =>
    html`<a href=${ADDRESSES[page]} aria-current=${here === page ? "page" : null}>${t(`nav.${page}`)}</a>`;
  return html`
    <a class="skip button" href="#main">${t("skip")}</a>
    <header class="top">
      ${children}
      <a class="brand" href="/"><${Icon} name="brand" /><span>LLM Gateway</span></a>
      <nav aria-label=${t("nav")}>${pages.map(link)}</nav>
      <div class="right">
        <button class="plain" type="button" onClick=${openPalette} aria-label=${t("palette")} aria-keyshortcuts=${SHORTCUT} title=${`${t("palette")} (${t("keys.palette.key")})`}>
          <${Icon} name="search" />
        </button>
        <select aria-label=${t("language")} onChange=${(event) => speak(event.target.value)}>
          ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code} selected=${code === language}>${name}</option>`)}
        </select>
        <button class="plain" type="button" onClick=${turn} aria-label=${t(dark ? "theme.light" : "theme.dark")}>
          <${Icon} name=${dark ? "sun" : "moon"} />
        </button>
      </div>
    </header>`;
}

/** Show a page: `Body` below the bar. `bar` is what stands at the bar's beginning. */
export function show(here, Body, bar = null) {
  document.documentElement.lang = language;
  document.title = `${t(`nav.${here}`)} · LLM Gateway`;
  const root = document.getElementById("root");
  root.replaceChildren();
  render(html`<${Top} here=${here}>${bar}<//><main id="main" tabindex="-1"><${Body} /></main><${Palette} />`, root);
}

/** Put a text on the clipboard, on pages without https too; return whether that went well. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http there is no clipboard but this one.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden-text";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

export function Copy({ text, label = t("copy"), kind = "plain copy" }) {
  const [done, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const click = async () => {
    setDone(await copy(typeof text === "function" ? text() : text));
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setDone(false), 2000);
  };
  return html`<button type="button" class=${kind} onClick=${click} aria-label=${done ? t("copied") : label}>
    <${Icon} name=${done ? "check" : "copy"} />
    <span class="hidden-text" role="status">${done ? t("copied") : ""}</span>
  </button>`;
}

/** Tabs by the keyboard's rules: arrows move, the chosen tab alone is in the order of Tab. */
export function Tabs({ label, names, chosen: now, choose, id }) {
  const keys = Object.keys(names);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = keys[(keys.indexOf(now) + step + keys.length) % keys.length];
    choose(next);
    event.currentTarget.querySelector(`[data-tab="${next}"]`).focus();
  };
  // On a phone the row scrolls.
  const row = useRef(null);
  useEffect(() => {
    const [all, own] = [row.current, row.current.querySelector('[aria-selected="true"]')].map((each) => each?.getBoundingClientRect());
    if (own) row.current.scrollLeft += Math.max(0, own.right - all.right) - Math.max(0, all.left - own.left);
  }, [now]);
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move} ref=${row}>
    ${keys.map((key) => html`<button type="button" role="tab" data-tab=${key} aria-selected=${key === now}
      aria-controls=${id} tabindex=${key === now ? 0 : -1} onClick=${() => choose(key)}>${names[key]}</button>`)}
  </div>`;
}

/** Code with a button that copies it; `whole` is what is copied if what is shown was cut short. */
export function Code({ text, whole = text, id = null, label }) {
  return html`<div class="code" id=${id} role=${id ? "tabpanel" : null}>
    <pre tabindex="0" role="region" aria-label=${label}><code>${text}</code></pre><${Copy} text=${whole} label=${t("copy.code")} />
  </div>`;
}

/** Ask for JSON again and again while the page is seen; give what came last, or the failure. */
export function usePoll(address, seconds, headers = {}) {
  const [state, setState] = useState({ value: null, failed: false });
  const ask = useCallback(async () => {
    try {
      const answer = await fetch(address, { headers });
      if (!answer.ok) throw new Error(String(answer.status));
      const value = await answer.json();
      setState({ value, failed: false });
    } catch {
      // What came last is still shown, with a word that it is old.
      setState((last) => ({ ...last, failed: true }));
    }
  }, [address]);
  useEffect(() => {
    ask();
    const timer = setInterval(() => document.hidden || ask(), seconds * 1000);
    const seen = () => document.hidden || ask();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [ask, seconds]);
  return [state, ask];
}
