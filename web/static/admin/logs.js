// The log as it is written, and only the lines with a text.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/page.js";
import { said, say } from "./address.js";
import { follow } from "./gateway.js";

const MOST = 5000;
const NEAR = 60;

/** Follow the log while it is shown; new lines are painted once a frame. */
function useLines() {
  const [lines, setLines] = useState([]);
  useEffect(() => {
    const stop = new AbortController();
    let known = [];
    let frame = 0;
    const paint = () => {
      frame = 0;
      setLines(known);
    };
    const take = ({ data }) => {
      if (data === undefined) return;
      known = [...known, ...data.split("\n")].slice(-MOST);
      frame ||= requestAnimationFrame(paint);
    };
    follow("/logs/stream", stop.signal, take, ({ live }) => {
      // Each connection begins with the last lines again.
      if (live) known = [];
    });
    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
    };
  }, []);
  return lines;
}

export function Logs() {
  const lines = useLines();
  const [wanted, setWanted] = useState(said("log"));
  const place = useRef(null);
  const near = useRef(true);
  const text = useMemo(() => {
    const small = wanted.toLowerCase();
    return lines.filter((each) => each.toLowerCase().includes(small)).join("\n");
  }, [lines, wanted]);
  useLayoutEffect(() => {
    if (near.current) place.current.scrollTop = place.current.scrollHeight;
  }, [text]);
  const scrolled = () => {
    const box = place.current;
    near.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  };
  const want = (event) => {
    setWanted(event.target.value);
    say({ log: event.target.value.trim() });
  };
  return html`<section class="card panel"><h2>${t("logs")}</h2><p class="soft small">${t("logs.text")}</p>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("logs.filter")}<input type="search" data-search value=${wanted} onInput=${want} /></label></form>
    <pre class="log" tabindex="0" role="region" aria-label=${t("logs")} ref=${place} onScroll=${scrolled}>${text}</pre></section>`;
}
