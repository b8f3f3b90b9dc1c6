// Looking again when something has happened, however much happens.

import { useEffect, useRef } from "../vendor/preact.js";

// Milliseconds between two looks.
const REST = 1000;

/** Call `look` at once when it is another, else when `happened` has changed, at most once a second. */
export function useLooks(look, happened) {
  const last = useRef({ look: null, at: 0 });
  useEffect(() => {
    const wait = last.current.look === look ? Math.max(0, last.current.at + REST - performance.now()) : 0;
    const timer = setTimeout(() => {
      last.current = { look, at: performance.now() };
      look();
    }, wait);
    return () => clearTimeout(timer);
  }, [look, happened]);
}
