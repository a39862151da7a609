// What the runner itself calls: never imported by an action.
import { fill } from "countersign:context";
import { native } from "countersign:native";
import { settle } from "countersign:outcome";

const unhandled = new Map();

Object.assign(native.hooks, {
  fill,
  settle,
  /** A promise was rejected without a handler, or got one afterwards. */
  rejected: (promise, reason, handled) => (handled ? unhandled.delete(promise) : unhandled.set(promise, reason)),
  /** The reasons of rejections that nobody handles. */
  unhandled: () => [...unhandled.values()],
});
