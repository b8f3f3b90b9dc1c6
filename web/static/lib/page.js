// What every page has: its language and formats, the bar at its top, copying, asking the gateway.

import { html, render, useCallback, useEffect, useRef, useState } from "../vendor/preact.js";
import { formats } from "./format.js";
import { kept } from "./tab.js";
import { chosen, LANGUAGES, speaker } from "./words.js";
import en from "../texts/en.js";

export const language = chosen();
const own = language === "en" ? en : (await import(`../texts/${language}.js`)).default;
export const t = speaker(own, en);
export const format = formats(language);

const ICONS = {
  brand: "M4 20V10a8 8 0 0 1 16 0v10M9 20v-9a3 3 0 0 1 6 0v9",
  branch: "M6 3v12m0 0a3 3 0 1 0 0 6 3 3 0 0 0 0-6m12-6a3 3 0 1 0 0-6 3 3 0 0 0 0 6m0 0a9 9 0 0 1-9 9",
  check: "M4 12l5 5L20 6",
  close: "M6 6l12 12M18 6L6 18",
  code: "M8 6l-6 6 6 6M16 6l6 6-6 6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  edit: "M4 20h4L20 8l-4-4L4 16z",
  image: "M3 5h18v14H3zM3 16l5-5 5 5 3-3 5 5M15.5 9.5h.01",
  menu: "M4 6h16M4 12h16M4 18h16",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  plus: "M12 5v14M5 12h14",
  redo: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  send: "M12 20V5M5 11l7-7 7 7",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M14 4v6M6 14v6",
  stop: "M6 6h12v12H6z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${ICONS[name]} /></svg>`;
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
  const speak = (event) => {
    try {
      localStorage.setItem("language", event.target.value);
    } catch {
      return; // Without storage the browser's own language holds.
    }
    location.reload();
  };
  const link = (page, address) =>
    html`<a href=${address} aria-current=${here === page ? "page" : null}>${t(`nav.${page}`)}</a>`;
  return html`
    <a class="skip button" href="#main">${t("skip")}</a>
    <header class="top">
      ${children}
      <a class="brand" href="/"><${Icon} name="brand" />LLM Gateway</a>
      <nav aria-label=${t("nav")}>${link("home", "/")}${link("playground", "/playground/")}${operates() && link("admin", "/admin/")}${here === "user" && link("user", "/user/")}</nav>
      <div class="right">
        <select aria-label=${t("language")} onChange=${speak}>
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
  render(html`<${Top} here=${here}>${bar}<//><main id="main" tabindex="-1"><${Body} /></main>`, root);
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
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${keys.map((key) => html`<button type="button" role="tab" data-tab=${key} aria-selected=${key === now}
      aria-controls=${id} tabindex=${key === now ? 0 : -1} onClick=${() => choose(key)}>${names[key]}</button>`)}
  </div>`;
}

export function Code({ text, id = null, label }) {
  return html`<div class="code" id=${id} role=${id ? "tabpanel" : null}>
    <pre tabindex="0" role="region" aria-label=${label}><code>${text}</code></pre><${Copy} text=${text} label=${t("copy.code")} />
  </div>`;
}

/** Ask for JSON again and again while the page is seen; give what came last, or the failure. */
export function usePoll(address, seconds) {
  const [state, setState] = useState({ value: null, failed: false });
  const ask = useCallback(async () => {
    try {
      const answer = await fetch(address);
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
