// Exact decimals. Agreed numbers come as canonical decimal strings; a number of JavaScript is a binary float, in
// which 0.1 + 0.2 is not 0.3, so no sum of money may pass through one.
import { shown } from "countersign:shown";

const FORM = /^(-?)(\d{1,80})(?:\.(\d{1,80}))?(?:[eE]([+-]?\d{1,2}))?$/;

/** Exact arithmetic on decimals: strings, bigints, or whole numbers. */
export const decimal = Object.freeze({
  /** -1, 0 or 1: whether `a` is less than, equal to or greater than `b`. */
  compare: (a, b) => {
    const [left, right] = aligned(a, b);
    return left < right ? -1 : left > right ? 1 : 0;
  },
  eq: (a, b) => decimal.compare(a, b) === 0,
  lt: (a, b) => decimal.compare(a, b) < 0,
  lte: (a, b) => decimal.compare(a, b) <= 0,
  gt: (a, b) => decimal.compare(a, b) > 0,
  gte: (a, b) => decimal.compare(a, b) >= 0,
  /** The sum, in canonical form; so the others. */
  add: (a, b) => {
    const [left, right, places] = aligned(a, b);
    return written(left + right, places);
  },
  sub: (a, b) => {
    const [left, right, places] = aligned(a, b);
    return written(left - right, places);
  },
  mul: (a, b) => {
    const [left, right] = [parse(a), parse(b)];
    return written(left.digits * right.digits, left.places + right.places);
  },
  /** The canonical form: "1.50" and "15e-1" are "1.5". */
  canonical: (a) => {
    const { digits, places } = parse(a);
    return written(digits, places);
  },
  /** As a bigint of the smallest unit: `decimal.scale("1.5", 18)` is 1500000000000000000n. */
  scale: (a, places) => {
    const { digits, places: has } = parse(a);
    const unit = 10n ** BigInt(Math.abs(places - has));
    if (has <= places) return digits * unit;
    if (digits % unit) throw new RangeError(`decimal: ${shown(a)} has more than ${places} places`);
    return digits / unit;
  },
  /** From a bigint of the smallest unit: `decimal.unscale(1500000000000000000n, 18)` is "1.5". */
  unscale: (units, places) => written(parse(units).digits, places),
});

/** An argument that is a decimal, as the host takes it. */
export function toDecimal(value, what) {
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return String(value);
  if (typeof value === "string" && FORM.test(value)) return value;
  if (typeof value === "number") {
    throw new TypeError(`${what} is ${shown(value)}, a binary float: write it as a string, as "${value}"`);
  }
  throw new TypeError(`${what} is ${shown(value)}: write a decimal as a string, as "0.5"`);
}

/** `digits / 10^places`, without zeros at the end. */
function parse(value) {
  const [, sign, whole, fraction = "", exponent = "0"] = FORM.exec(toDecimal(value, "decimal: an argument"));
  let digits = BigInt(sign + whole + fraction);
  let places = fraction.length - Number(exponent);
  if (places < 0) {
    digits *= 10n ** BigInt(-places);
    places = 0;
  }
  return { digits, places };
}

function aligned(a, b) {
  const [left, right] = [parse(a), parse(b)];
  const places = Math.max(left.places, right.places);
  const scaled = ({ digits, places: has }) => digits * 10n ** BigInt(places - has);
  return [scaled(left), scaled(right), places];
}

function written(digits, places) {
  const sign = digits < 0n ? "-" : "";
  const text = String(digits < 0n ? -digits : digits).padStart(places + 1, "0");
  const whole = text.slice(0, text.length - places);
  const fraction = text.slice(text.length - places).replace(/0+$/, "");
  return sign + whole + (fraction && `.${fraction}`);
}
