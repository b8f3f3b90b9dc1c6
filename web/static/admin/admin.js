// The operator's page: what the gateway does, its requests, its log.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { show, t, Tabs, useCommands, usePoll } from "../lib/page.js";
import { say } from "./address.js";
import { Configuration } from "./configuration.js";
import { ask, follow, forget, keep, redeem } from "./gateway.js";
import { Logs } from "./logs.js";
import { Models } from "./models.js";
import { Overview } from "./overview.js";
import { People } from "./people.js";
import { sayRefusal } from "../lib/refusal.js";
import { Requests } from "./requests.js";
import { Why } from "./why.js";
import { totalsOf, withTick } from "./series.js";

const MODELS_EVERY = 3;
// Milliseconds between two looks at what runs, however much happens meanwhile.
const LOOK_EVERY = 400;
const TABS = ["overview", "models", "requests", "why", "people", "configuration", "logs"];

/** What the gateway tells: what runs, the last tick, the charts, how far loads are, who may look. */
function useGateway() {
  const [state, setState] = useState({ running: null, tick: null, points: null, totals: {}, loads: {}, ended: 0, decided: 0, live: false, refused: null });
  const looking = useRef(0);
  const opened = useRef(0);
  const set = (change) => setState((last) => ({ ...last, ...(typeof change === "function" ? change(last) : change) }));

  const begin = () => {
    const stop = new AbortController();
    const look = () => {
      looking.current ||= setTimeout(async () => {
        looking.current = 0;
        try {
          set({ running: await ask("GET", "/running") });
        } catch {
          // The stream tells when the gateway is there again.
        }
      }, LOOK_EVERY);
    };
    const take = ({ event, data }) => {
      if (data === undefined) return;
      const told = JSON.parse(data);
      if (event === "snapshot") set({ running: told });
      else if (event === "tick") {
        set((last) => ({ tick: told, points: last.points && withTick(last.points, told) }));
        if (told.in_flight || told.waiting) look();
      } else {
        if (event === "load") set((last) => ({ loads: { ...last.loads, [told.variant]: told.percent } }));
        if (event === "request" && told.phase === "ended") set((last) => ({ ended: last.ended + 1 }));
        if (event === "why") set((last) => ({ decided: last.decided + 1 }));
        look();
      }
    };
    const told = async ({ live, error }) => {
      set({ live, refused: error && error.status ? error : null });
      if (!live) return;
      try {
        const { points } = await ask("GET", "/admin/api/history?step=10");
        set({ points });
      } catch {
        set({ points: [] });
      }
      try {
        set({ totals: totalsOf(await ask("GET", "/admin/api/system")) });
      } catch {
        // Without them there is no chart of the memory.
      }
    };
    redeem()
      .then(() => follow("/events", stop.signal, take, told))
      .catch((error) => set({ refused: Object.assign(error, { link: true }) }));
    return () => stop.abort();
  };
  useEffect(() => begin(), [opened.current]);
  const again = () => {
    opened.current += 1;
    set({ refused: null, sent: true });
  };
  const looked = async () => set({ running: await ask("GET", "/running") });
  return [state, again, looked];
}

function Door({ error, sent, again }) {
  const [token, setToken] = useState("");
  const enter = (event) => {
    event.preventDefault();
    keep(token.trim());
    again();
  };
  useEffect(() => forget(), []);
  return html`<section class="card door"><h1>${t("door")}</h1>
    ${(error.link || sent) && html`<p class="notice warn" role="status">${sayRefusal(error)}</p>`}
    <p>${t("door.text")}</p><p><code>./run.sh open</code></p>
    <form class="row" onSubmit=${enter}><label>${t("door.token")}<input type="password" autocomplete="off" value=${token} onInput=${(event) => setToken(event.target.value)} /></label>
      <button type="submit" class="primary" disabled=${!token.trim()}>${t("door.enter")}</button></form></section>`;
}

function Admin() {
  const [state, enter, looked] = useGateway();
  const [{ value }] = usePoll("/api/models", MODELS_EVERY);
  const [tab, setTab] = useState(TABS.find((each) => location.hash === `#${each}`) ?? TABS[0]);
  const [problem, setProblem] = useState(null);
  /** Show a tab, with what the address is to say of it. */
  const go = (key, changes = {}) => {
    say(changes, key);
    setProblem(null);
    setTab(key);
  };
  const choose = (key) => go(key);
  /** Tell why something was refused; `look` asks for it again, if that makes sense. */
  const failed = (text, look = null) => setProblem({ text, look });
  const again = () => {
    setProblem(null);
    problem.look();
  };
  const { running, points, live, refused } = state;
  const shown = TABS.filter((each) => each !== "people" || value?.accounts);
  useCommands(() => (refused ? [] : shown.map((each) => ({ id: `tab.${each}`, label: t(`tab.${each}`), group: t("nav.admin"), run: () => choose(each) }))));
  useEffect(() => {
    const show = () => document.querySelector(".head [aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "center" });
    show();
    addEventListener("resize", show);
    return () => removeEventListener("resize", show);
  }, [tab, refused, Boolean(running && points)]);
  if (refused) return html`<div class="page"><${Door} error=${refused} sent=${state.sent} again=${enter} /></div>`;
  if (!running || !points) return html`<div class="page"><h1 class="hidden-text">${t("nav.admin")}</h1><div class="bones" role="status" aria-label=${t("connecting")}></div></div>`;
  const names = Object.fromEntries(shown.map((each) => [each, t(`tab.${each}`)]));
  return html`<div class="page"><h1 class="hidden-text">${t("nav.admin")}</h1>
    <div class="head"><${Tabs} label=${t("nav.admin")} names=${names} chosen=${tab} choose=${choose} id="tab" />
      <span class=${`pill ${live ? "good" : "warn"}`} role="status">${t(live ? "live" : "connecting")}</span></div>
    ${problem && html`<p class="notice bad row" role="alert"><span>${problem.text}</span> ${problem.look && html`<button type="button" onClick=${again}>${t("again")}</button>`}
      <button type="button" onClick=${() => setProblem(null)}>${t("close")}</button></p>`}
    <div id="tab" role="tabpanel">
      ${tab === "overview" && html`<${Overview} running=${running} tick=${state.tick} points=${points} totals=${state.totals} models=${value?.models ?? []} loads=${state.loads} go=${go} pinned=${looked} failed=${failed} />`}
      ${tab === "requests" && html`<${Requests} running=${running} ended=${state.ended} decided=${state.decided} go=${go} failed=${failed} />`}
      ${tab === "models" && html`<${Models} changed=${running.engines.map((each) => `${each.variant} ${each.state}`).join()} failed=${failed} />`}
      ${tab === "why" && html`<${Why} decided=${state.decided} go=${go} failed=${failed} />`}
      ${tab === "people" && html`<${People} currency=${value?.currency ?? ""} failed=${failed} />`}
      ${tab === "configuration" && html`<${Configuration} failed=${failed} />`}
      ${tab === "logs" && html`<${Logs} />`}
    </div></div>`;
}

// A new link in the same tab; the tabs of the page change the address without this event.
addEventListener("hashchange", () => location.reload());
show("admin", Admin);
