// Length and digest, compared before anything is parsed.
import { sha256 } from "@noble/hashes/sha2.js";
import { AssetDigestMismatch, AssetTooLarge, AssetTruncated } from "./errors";

/** SHA-256 in hexadecimal. crypto.subtle is absent on insecure origins and in opaque ones of some browsers. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  let hash: Uint8Array | null = null;
  try {
    const subtle = globalThis.crypto?.subtle;
    if (subtle) hash = new Uint8Array(await subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  } catch {
    hash = null;
  }
  hash ??= sha256(bytes);
  let text = "";
  for (const byte of hash) text += byte.toString(16).padStart(2, "0");
  return text;
}

export interface Expected {
  /** What the bytes are, for messages. */
  asset: string;
  bytes: number;
  sha256: string;
}

export async function verify(bytes: Uint8Array, expected: Expected, cap: number): Promise<void> {
  const { asset } = expected;
  if (bytes.length > cap || expected.bytes > cap) {
    throw new AssetTooLarge(
      `${asset} has ${Math.max(bytes.length, expected.bytes)} bytes, more than the cap of ${cap}`,
    );
  }
  if (bytes.length < expected.bytes) {
    throw new AssetTruncated(
      `${asset} has ${bytes.length} bytes, its manifest says ${expected.bytes}`,
      "Copy the run again from where it was written, or download it from its tracker.",
    );
  }
  if (bytes.length > expected.bytes) {
    throw new AssetTooLarge(`${asset} has ${bytes.length} bytes, its manifest says ${expected.bytes}`);
  }
  const found = await digestOf(bytes);
  if (found !== expected.sha256) {
    throw new AssetDigestMismatch(
      `${asset} does not have the SHA-256 that its manifest names: it was changed or damaged after it was written`,
      "Copy the run again from where it was written, or download it from its tracker.",
    );
  }
}
