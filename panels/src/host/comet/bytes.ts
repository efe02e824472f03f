// Bytes and text of whatever Comet's panel API returned, and whether they are those that were logged.
const MAGIC = [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31]; // ARROW1

/** The kind of an object by its own word: `instanceof` denies what another frame or realm has made. */
const tag = (given: unknown): string => Object.prototype.toString.call(given).slice(8, -1);

const isBuffer = (given: unknown): given is ArrayBuffer => tag(given) === "ArrayBuffer";
const isBlob = (given: unknown): given is Blob => tag(given) === "Blob" || tag(given) === "File";

/** Bytes of whatever an API returned. Text is undone where each character stands for one byte. */
export async function toBytes(given: unknown): Promise<Uint8Array> {
  if (given instanceof ArrayBuffer) return new Uint8Array(given);
  // A copy: nothing but bytes of this realm goes on from here.
  if (isBuffer(given)) return new Uint8Array(given).slice();
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice();
  if (isBlob(given)) return new Uint8Array(await given.arrayBuffer());
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
  if (isPlainObject(given) && typeof given.arrayBuffer === "function") return toBytes(await given.arrayBuffer());
  throw new Error(`it came as ${given === null ? "null" : typeof given}`);
}

/** Text of whatever an API returned; what it parsed as JSON on its own is written out again. `word` is a name in that JSON. */
export async function toText(given: unknown, word: string): Promise<string> {
  if (typeof given === "string") return given;
  if (isPlainObject(given) && typeof given.arrayBuffer !== "function") {
    if (word in given) return JSON.stringify(given);
    if ("data" in given) return toText(given.data, word);
  }
  return new TextDecoder().decode(await toBytes(given));
}

/** Why these bytes are not a whole Arrow file of the declared length; null when they may be. */
export function whyNotArrow(bytes: Uint8Array, size: number | undefined): string | null {
  if (size !== undefined && bytes.length !== size) return `it has ${bytes.length} bytes instead of ${size}`;
  const end = bytes.length - MAGIC.length;
  if (end < MAGIC.length || !MAGIC.every((byte, i) => bytes[i] === byte)) return "it does not begin as an Arrow file";
  if (!MAGIC.every((byte, i) => bytes[end + i] === byte)) return "it does not end as an Arrow file";
  return null;
}

/** Why this text is not the JSON that was logged, but a word of Comet's own; null when it may be. */
export function whyNotJson(text: string, word: string, size: number | null | undefined): string | null {
  if (text === "") return (size ?? 0) > 0 ? "it came empty" : null;
  return text.trimStart().startsWith("{") && text.includes(`"${word}"`) ? null : "it is not the text that was logged";
}

function isPlainObject(
  value: unknown,
): value is Record<string, unknown> & { arrayBuffer?: () => Promise<ArrayBuffer> } {
  return (
    typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !isBuffer(value) && !isBlob(value)
  );
}

/** Said without addresses: an asset's link can carry a credential. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/https?:\/\/\S+/g, "…").slice(0, 200);
}
