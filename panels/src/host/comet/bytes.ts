// Bytes of whatever Comet's panel API returned, and whether they are those that were logged.
const MAGIC = [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31]; // ARROW1

/** Bytes of whatever an API returned. Text is undone where each character stands for one byte. */
export async function toBytes(given: unknown): Promise<Uint8Array> {
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice();
  if (typeof Blob !== "undefined" && given instanceof Blob) return new Uint8Array(await given.arrayBuffer());
  if (typeof given === "string") {
    if (given.includes("\ufffd")) throw new Error("it came as text, in which bytes were replaced");
    const bytes = new Uint8Array(given.length);
    for (let i = 0; i < given.length; i++) {
      const code = given.charCodeAt(i);
      if (code > 255) throw new Error("it came as text, not as bytes");
      bytes[i] = code;
    }
    return bytes;
  }
  if (isPlainObject(given) && "data" in given) return toBytes(given.data);
  if (isPlainObject(given) && typeof given.arrayBuffer === "function") return new Uint8Array(await given.arrayBuffer());
  throw new Error(`it came as ${given === null ? "null" : typeof given}`);
}

/** Why these bytes are not a whole Arrow file of the declared length; null when they may be. */
export function whyNotArrow(bytes: Uint8Array, size: number | undefined): string | null {
  if (size !== undefined && bytes.length !== size) return `it has ${bytes.length} bytes instead of ${size}`;
  const end = bytes.length - MAGIC.length;
  if (end < MAGIC.length || !MAGIC.every((byte, i) => bytes[i] === byte)) return "it does not begin as an Arrow file";
  if (!MAGIC.every((byte, i) => bytes[end + i] === byte)) return "it does not end as an Arrow file";
  return null;
}

export function isPlainObject(
  value: unknown,
): value is Record<string, unknown> & { arrayBuffer?: () => Promise<ArrayBuffer> } {
  return (
    typeof value === "object" &&
    value !== null &&
    !ArrayBuffer.isView(value) &&
    !(value instanceof ArrayBuffer) &&
    !(typeof Blob !== "undefined" && value instanceof Blob)
  );
}

/** Said without addresses: an asset's link can carry a credential. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/https?:\/\/\S+/g, "…").slice(0, 200);
}
