// Hashes and signatures, computed by the host.
import { hex, toBytes } from "countersign:bytes";
import { native } from "countersign:native";
import { shown } from "countersign:shown";

const data = (name, value) => toBytes(value, `crypto.${name}: the data`);

const verifier = (name, message) => (publicKey, signed, signature) =>
  native[name](
    toBytes(publicKey, `crypto.${name}: the public key`),
    toBytes(signed, `crypto.${name}: the ${message}`),
    toBytes(signature, `crypto.${name}: the signature`),
  );

/** Hashes and signatures. */
export const crypto = Object.freeze({
  /** The keccak-256 of bytes. */
  keccak256: (bytes) => native.keccak256(data("keccak256", bytes)),
  /** The SHA-256 of bytes. */
  sha256: (bytes) => native.sha256(data("sha256", bytes)),
  /** The address whose key made a signature over a digest; null if it is no signature. */
  secp256k1Recover: (digest, signature) => {
    const address = native.secp256k1Recover(
      toBytes(digest, "crypto.secp256k1Recover: the digest"),
      toBytes(signature, "crypto.secp256k1Recover: the signature"),
    );
    return address === undefined ? null : hex(address);
  },
  secp256k1Verify: verifier("secp256k1Verify", "digest"),
  bip340Verify: verifier("bip340Verify", "message"),
  p256Verify: verifier("p256Verify", "digest"),
  ed25519Verify: verifier("ed25519Verify", "message"),
  /** The EIP-712 digest of typed data. */
  typedDataDigest: (typedData) => {
    const answer = native.typedDataDigest(typedDataJson(typedData, "crypto.typedDataDigest"));
    if (typeof answer === "string") throw new TypeError(`crypto.typedDataDigest: ${answer}`);
    return answer;
  },
});

/** Typed data as JSON: an object, in which bigints are decimal strings and bytes are hex, or JSON itself. */
export function typedDataJson(typedData, what) {
  if (typeof typedData === "string") return typedData;
  if (typedData === null || typeof typedData !== "object") {
    throw new TypeError(`${what}: got ${shown(typedData)}: typed data is an object, or JSON`);
  }
  return JSON.stringify(typedData, (_, value) => {
    if (typeof value === "bigint") return String(value);
    return value instanceof Uint8Array ? hex(value) : value;
  });
}
