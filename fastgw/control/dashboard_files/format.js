// Numbers, times and sizes as people read them.

const NONE = "–";

export function rate(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.1) return "< 0.1";
  return value < 10 ? trim(value.toFixed(1)) : Math.round(value).toLocaleString("en");
}

export function count(value) {
  return known(value) ? Math.round(value).toLocaleString("en") : NONE;
}

export function share(part, whole) {
  if (!known(part) || !known(whole) || whole <= 0) return NONE;
  const percent = (100 * part) / whole;
  if (percent === 0) return "0 %";
  if (percent < 0.1) return "< 0.1 %";
  if (percent > 99 && percent < 100) return "> 99 %";
  return `${percent < 10 ? trim(percent.toFixed(1)) : Math.round(percent)} %`;
}

export function millis(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0 ms";
  if (value < 1) return `${Math.max(1, Math.round(value * 1000))} µs`;
  if (value < 100) return `${trim(value.toFixed(1))} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : `${trim((value / 1000).toFixed(2))} s`;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  for (const [size, unit] of [
    [2 ** 30, "GB"],
    [2 ** 20, "MB"],
    [2 ** 10, "KB"],
  ]) {
    if (value >= size) return `${trim((value / size).toFixed(value < 10 * size ? 1 : 0))} ${unit}`;
  }
  return `${value} B`;
}

export function span(seconds) {
  if (!known(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Seconds since the epoch, or an ISO text, as milliseconds; NaN for anything else. */
export function moment(value) {
  return typeof value === "number" ? value * 1000 : Date.parse(value);
}

export function clock(value) {
  const at = new Date(moment(value));
  return Number.isNaN(at.getTime()) ? NONE : at.toLocaleTimeString("en-GB");
}

export function day(value) {
  const at = new Date(moment(value));
  if (Number.isNaN(at.getTime())) return NONE;
  const today = new Date();
  const time = at.toLocaleTimeString("en-GB");
  if (at.toDateString() === today.toDateString()) return `today ${time}`;
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${time}`;
}

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many || `${one}s`}`;
}

/** What no route has matched is a row of its own in the figures, and null in the log. */
export function routed(route) {
  return Boolean(route) && route !== "-";
}

export function named(route) {
  return routed(route) ? route : "no route";
}

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function trim(text) {
  return text.replace(/\.0+$/, "");
}
