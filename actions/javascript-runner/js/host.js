// Calls of the host, and their errors.
import { native } from "countersign:native";

const TEXTS = {
  denied: "the action may not read this",
  limit: "a limit of the action is reached",
  invalid: "the action asked for something malformed",
};

/** The host did nothing, for a reason that is the same on every node. */
export class HostError extends Error {
  constructor(kind, text) {
    super(`${TEXTS[kind]}: ${text}`);
    this.name = "HostError";
    /** "denied", "limit" or "invalid". */
    this.kind = kind;
  }
}

/** Calls a function of the host. */
export function ask(name, ...args) {
  const answer = native[name](...args);
  // only an error has a kind: answers are bytes, numbers and arrays
  if (answer?.kind !== undefined) throw new HostError(answer.kind, answer.text);
  return answer;
}
