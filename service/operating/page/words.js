// Figures and moments in words.

const SHARES = ["accuracy", "balanced_accuracy", "macro_f1"];
const NAMES = {rmse: "RMSE", mae: "MAE", macro_f1: "macro F1"};
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", {numeric: "always"});
const absolute = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});

export const metricName = (metric) => NAMES[metric] ?? metric.replaceAll("_", " ");
export const plural = (count, one, many = `${one}s`) => `${count === 0 ? "no" : count.toLocaleString("en")} ${count === 1 ? one : many}`;
export const moment = (at) => absolute.format(new Date(at));

export function score(value, metric) {
  if (value === null || value === undefined) return "–";
  return SHARES.includes(metric) ? `${(100 * value).toFixed(1)} %` : figure(value);
}

/** Three digits. */
export const figure = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(3))));

export function ago(at, now = Date.now()) {
  const seconds = (new Date(at) - now) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size);
  return relative.format(Math.trunc(seconds / size), unit);
}
