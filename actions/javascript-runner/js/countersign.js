// The module "countersign": what an action imports. actions/countersign.d.ts says what each of these is.
import { logged } from "countersign:shown";
import { native } from "countersign:native";

export { abi } from "countersign:abi";
export { concat, fromHex, fromUtf8, hex, utf8 } from "countersign:bytes";
export { context } from "countersign:context";
export { crypto } from "countersign:crypto";
export { decimal } from "countersign:decimal";
export { erc20, evm } from "countersign:evm";
export { HostError } from "countersign:host";
export { http, identical, max, median, min, mode } from "countersign:http";
export { refuse, sign } from "countersign:outcome";

/** Lines for the operator and the author. */
export const log = Object.freeze({
  debug: (...values) => native.log("debug", logged(values)),
  info: (...values) => native.log("info", logged(values)),
  warn: (...values) => native.log("warn", logged(values)),
  error: (...values) => native.log("error", logged(values)),
});

globalThis.console = Object.freeze({ ...log, log: log.info });
Math.random = native.random;
delete globalThis.performance;
