// @ts-check
// Signs a message that a service approves of. Every node asks the service about this request by its digest, and all
// must be told the same.
import { context, hex, http, identical, refuse, sign } from "countersign";

/** What stands for the request's digest in the URL. */
const DIGEST = "{digest}";

export default function run() {
  const url = checked(context.configJson()).replaceAll(DIGEST, hex(context.requestDigest));
  const { fields } = http.fetch(url, { fields: { "/approved": identical, "/reason": identical } });
  const reason = String(fields["/reason"]);
  if (fields["/approved"] !== true) {
    refuse(`the service does not approve of request ${hex(context.requestDigest)}: ${reason}`);
  }
  return { sign: sign.bytes(context.params), response: { approved: true, reason } };
}

/**
 * The URL of the config, or a refusal that says what is wrong with it.
 * @param {any} config
 * @returns {string}
 */
function checked(config) {
  const wrong = (/** @type {string} */ why) => refuse(`the key's config cannot be used: ${why}`);
  if (config === null || typeof config !== "object") return wrong("it is no object");
  for (const key of Object.keys(config)) if (key !== "url") return wrong(`unknown field \`${key}\``);
  if (typeof config.url !== "string" || !config.url.includes(DIGEST)) {
    return wrong(`url is an address with ${DIGEST} in it, as "https://approvals.test/requests/${DIGEST}"`);
  }
  return config.url;
}
