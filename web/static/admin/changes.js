// What a row of the audit says, for people. Pure.

const MONEY = ["amount", "balance", "budget", "input", "cached", "output", "per_request"];
const NANO = 1e9;
const MILLISECOND = 1e-3;

/** Return each value that was changed as `name value`; `money` writes an amount, `moment` a time in seconds. */
export function changesIn(values, money, moment) {
  return Object.entries(values ?? {})
    .filter(([, value]) => value !== null)
    .map(([name, value]) => {
      if (MONEY.includes(name) && typeof value === "number") return `${name} ${money(value / NANO)}`;
      if ((/(^|_)(at|from)$/).test(name) && typeof value === "number") return `${name} ${moment(value * MILLISECOND)}`;
      return `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`;
    });
}
