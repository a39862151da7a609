// Reads over HTTPS, and the rules by which the nodes agree on them.
import { fromUtf8 } from "countersign:bytes";
import { toDecimal } from "countersign:decimal";
import { ask } from "countersign:host";
import { toCount } from "countersign:numbers";
import { knownKeys, shown } from "countersign:shown";

class Rule {
  constructor(name, bps, abs) {
    this.name = name;
    this.bps = bps;
    this.abs = abs;
    Object.freeze(this);
  }
}

const within = (name) => (tolerance = {}) => {
  knownKeys(tolerance, ["bps", "abs"], name);
  const { bps = 0, abs = "0" } = tolerance;
  return new Rule(name, toCount(bps, `${name}: bps`, 10_000), toDecimal(abs, `${name}: abs`));
};

/** All nodes read the same. */
export const identical = new Rule("identical", 0, "0");
/** The most frequent value. */
export const mode = new Rule("mode", 0, "0");
/** The middle value, the lower of the two where the count is even. */
export const median = within("median");
/** The smallest value. */
export const min = within("min");
/** The largest value. */
export const max = within("max");

/** Reads over HTTPS. */
export const http = Object.freeze({
  /** Fetches. */
  fetch: (url, options = {}) => {
    const request = requested("http.fetch", url, options);
    return answered(ask("fetch", request), request);
  },
  /** Fetches several at once: URLs, or objects of url and options. */
  fetchAll: (requests) => {
    if (!Array.isArray(requests)) throw new TypeError(`http.fetchAll: got ${shown(requests)}: it takes an array`);
    const all = requests.map((request) => {
      const { url, ...options } = typeof request === "string" ? { url: request } : request;
      return requested("http.fetchAll", url, options);
    });
    return ask("fetchAll", all).map((answer, index) => answered(answer, all[index]));
  },
});

const OPTIONS = ["fields", "headers", "timeoutMs", "maxBody"];

/** [url, headers, maxBody, timeoutMs, fields], as the host's function takes it. */
function requested(what, url, options) {
  if (typeof url !== "string") throw new TypeError(`${what}: the URL is ${shown(url)}: it needs a string`);
  knownKeys(options, OPTIONS, what);
  const { fields, headers = {}, timeoutMs = 0, maxBody = 0 } = options;
  return [
    url,
    Object.entries(headers).map(([name, value]) => [name, String(value)]),
    toCount(maxBody, `${what}: maxBody`, 131_072),
    toCount(timeoutMs, `${what}: timeoutMs`, 10_000),
    fields && Object.entries(fields).map(([pointer, rule]) => ruled(what, pointer, rule)),
  ];
}

function ruled(what, pointer, rule) {
  if (!(rule instanceof Rule)) {
    const name = typeof rule === "function" && [median, min, max].includes(rule) ? "median({ bps: 50 })" : undefined;
    throw new TypeError(`${what}: the rule of "${pointer}" is ${shown(rule)}: write ${name ?? "identical, mode, or median({ bps: 50 })"}`);
  }
  return [pointer, rule.name, rule.bps, rule.abs];
}

function answered([status, contentType, body], request) {
  if (request[4]) return { status, fields: JSON.parse(fromUtf8(body)) };
  const text = () => fromUtf8(body);
  const headers = contentType === undefined ? {} : { "content-type": contentType };
  return { status, headers, body, text, json: () => JSON.parse(text()) };
}
