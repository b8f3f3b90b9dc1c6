// The gateway as an operator's page sees it: orders, and streams that come back by themselves.

import { answered } from "../lib/ask.js";
import { stream } from "../lib/stream.js";
import * as tab from "../lib/tab.js";

const KEPT = "admin-token";
const SHORTEST = 500;
const LONGEST = 10_000;

function headers() {
  const token = tab.kept(KEPT);
  // Without a token, who is logged in as an admin may do the same by the session.
  return token ? { "X-Admin-Token": token } : {};
}

export function keep(token) {
  tab.keep(KEPT, token);
}

export function forget() {
  tab.keep(KEPT, "");
}

/** Send an order, or ask; return the JSON of the answer. Refused says why not. */
export async function ask(method, path, body) {
  return (await answered(method, path, body, headers())).json();
}

/** Return the answer to a GET as a Blob. */
export async function blob(path) {
  return (await answered("GET", path, undefined, headers())).blob();
}

/** If the address holds a link's token, exchange it, and take it out of the address. */
export async function redeem() {
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  if (!link) return;
  history.replaceState(null, "", location.pathname + location.search);
  const { token } = await ask("POST", "/login/admin", { link });
  keep(token);
}

/**
 * Follow a stream of events until the signal; after a lost connection, again.
 * `told` hears whether it is connected; a refusal that another try would not change ends it.
 */
export async function follow(path, signal, take, told) {
  let wait = SHORTEST;
  while (!signal.aborted) {
    try {
      const head = () => {
        wait = SHORTEST;
        told({ live: true });
      };
      await stream(path, undefined, { signal, headers: { Accept: "text/event-stream", ...headers() }, head, take });
      told({ live: false });
    } catch (error) {
      if (signal.aborted) return;
      told({ live: false, error });
      if (error.status === 401 || error.status === 403) return;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(LONGEST, wait * 2);
  }
}
