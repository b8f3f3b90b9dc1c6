// Hold to talk: the button by pointer, key and press, and the space bar of the whole page.

import { useMemo } from "../vendor/preact.js";
import { singleKeys } from "../lib/palette.js";

const BAR = " ";

/** Return what the button listens to. A press without a pointer or a key, as by a screen reader, turns it. */
export function useHold(talk) {
  return useMemo(() => {
    let pointer = false;
    return {
      onPointerDown: (event) => {
        if (event.button) return;
        pointer = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        talk.hold();
      },
      onPointerUp: () => talk.release(),
      onPointerCancel: () => {
        pointer = false;
        talk.release();
      },
      onContextMenu: (event) => event.preventDefault(),
      onClick: () => {
        if (!pointer) talk.holding ? talk.release() : talk.hold();
        pointer = false;
      },
    };
  }, [talk]);
}

/** Let the space bar be held, but where it writes or presses something else; return what ends that. */
export function holdsKeys(talk) {
  const own = (event) => {
    const busy = event.target.closest?.("input, textarea, select, dialog, summary, a, button:not(.hold)");
    return event.key === BAR && !busy && !event.ctrlKey && !event.altKey && !event.metaKey;
  };
  const down = (event) => {
    if (!own(event) || !(singleKeys() || event.target.closest?.(".hold"))) return;
    // Neither scroll nor press, and once for all that the key repeats.
    event.preventDefault();
    if (!event.repeat) talk.hold();
  };
  const up = (event) => {
    if (event.key !== BAR) return;
    if (own(event)) event.preventDefault();
    talk.release();
  };
  const leave = () => talk.release();
  const hidden = () => document.hidden && leave();
  addEventListener("keydown", down);
  addEventListener("keyup", up);
  addEventListener("blur", leave);
  document.addEventListener("visibilitychange", hidden);
  return () => {
    removeEventListener("keydown", down);
    removeEventListener("keyup", up);
    removeEventListener("blur", leave);
    document.removeEventListener("visibilitychange", hidden);
  };
}
