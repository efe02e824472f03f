// The alphabet in which byte-level tokenizers write bytes: printable ones stand for themselves, the others from U+0100 on.

let byteOf: Map<string, number> | null = null;

function byteTable(): Map<string, number> {
  if (byteOf) return byteOf;
  byteOf = new Map();
  let extra = 0;
  for (let byte = 0; byte < 256; byte++) {
    const plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    byteOf.set(String.fromCharCode(plain ? byte : 256 + extra++), byte);
  }
  return byteOf;
}

/** A byte-level token as the text it stands for; null where it is none, or its bytes are no whole characters. */
export function fromByteLevel(token: string): string | null {
  const table = byteTable();
  const bytes: number[] = [];
  for (const char of token) {
    const byte = table.get(char);
    if (byte === undefined) return null;
    bytes.push(byte);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return null;
  }
}
