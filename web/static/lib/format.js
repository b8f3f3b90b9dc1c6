// Numbers, times and sizes as people read them, in the language of the page. Pure.

const SECOND = 1000;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
// A currency that browsers know; any other name is a word of the gateway's owner.
const CODE = /^[A-Z]{3}$/;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Return the formatters of a language. */
export function formats(language) {
  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const tenth = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 });
  const sums = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 4 });
  const prices = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumSignificantDigits: 3 });
  const scores = new Intl.NumberFormat(language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const days = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const dates = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
  const shorts = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });
  const clocks = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const minutes = new Intl.DateTimeFormat(language, { timeStyle: "short" });
  const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

  /** A length of time; a dash for what is not known. */
  function seconds(value) {
    if (value == null) return "–";
    if (value < 1) return `${whole.format(value * SECOND)} ms`;
    if (value < MINUTE) return `${tenth.format(value)} s`;
    if (value < HOUR) return `${whole.format(value / MINUTE)} min`;
    if (value < 2 * DAY) return `${whole.format(value / HOUR)} h`;
    return `${whole.format(value / DAY)} d`;
  }

  /** A size in bytes; a dash for what is not known. */
  function bytes(value) {
    if (value == null) return "–";
    let unit = 0;
    while (value >= 1024 && unit < UNITS.length - 1) {
      value /= 1024;
      unit += 1;
    }
    return `${(value < 10 && unit > 0 ? tenth : whole).format(value)} ${UNITS[unit]}`;
  }

  /** A number of tokens of a context, as short as engines name it: 8192 is "8k". */
  function context(value) {
    if (value == null) return "–";
    return value >= 1024 && value % 1024 === 0 ? `${whole.format(value / 1024)}k` : whole.format(value);
  }

  /** An amount of money in a currency by its three letters, or in a word of the gateway's owner. */
  function amount(value, currency) {
    if (!CODE.test(currency)) return `${sums.format(Number(value))} ${currency}`;
    return new Intl.NumberFormat(language, { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: 4 }).format(Number(value));
  }

  /** What a request costs: small amounts with the digits that count. Without a currency, the number alone. */
  function cost(value, currency) {
    if (!currency) return prices.format(value);
    if (!CODE.test(currency)) return `${prices.format(value)} ${currency}`;
    return new Intl.NumberFormat(language, { style: "currency", currency, minimumFractionDigits: 2, maximumSignificantDigits: 3 }).format(value);
  }

  return {
    amount,
    bytes,
    context,
    seconds,
    clock: (ms) => clocks.format(new Date(ms)),
    date: (ms) => dates.format(new Date(ms)),
    day: (iso) => days.format(new Date(`${iso}T00:00:00Z`)),
    cost,
    minute: (ms) => minutes.format(new Date(ms)),
    moment: (ms) => moments.format(new Date(ms)),
    number: (value) => (value == null ? "–" : whole.format(value)),
    percent: (value) => (value == null ? "–" : percents.format(value)),
    short: (value) => shorts.format(value),
    score: (value) => scores.format(value),
    rate: (value) => (value == null ? "–" : tenth.format(value)),
  };
}
