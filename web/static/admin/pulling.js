// What the states of a download mean for its row. Pure.

const KINDS = { done: "good", failed: "bad", paused: "warn" };
const ACTS = { done: ["forget"], failed: ["resume", "end"], paused: ["resume", "end"] };

/** Return whether the download goes on by itself. */
export const moving = (pull) => !(pull.state in KINDS);

/** Return the class of a pill for the state. */
export const kindOfPull = (state) => KINDS[state] ?? "";

/** Return the orders that the download takes in this state. */
export const actsOf = (state) => ACTS[state] ?? ["pause", "end"];

/** Return how well a model fits, by what the gateway says: "yes", "no", or "unknown". */
export const fitOf = (model) => (model.fits === null || model.fits === undefined ? "unknown" : model.fits ? "yes" : "no");

/** Return the path of a model below the admin paths; its name may have slashes. */
export const modelPath = (name) => `/admin/models/${name.split("/").map(encodeURIComponent).join("/")}`;
