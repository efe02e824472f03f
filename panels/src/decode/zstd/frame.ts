// One zstd frame into a buffer of known size (RFC 8878). Strict: whatever a frame says, the time it takes is bounded by its
// own length and the buffer's, and the buffer is filled to its last byte, or it is an error.
import { fail } from "./bits";
import { BLOCK } from "./literals";
import { type Carried, decodeBlock } from "./sequences";

/** Bytes that bit streams may look at past a block's end. */
const SPARE = 8;

/** Room to work in, taken once: an asset has dozens of small buffers, and nothing else runs while one is decoded. */
let room: { block: Uint8Array; scratch: Uint8Array } | null = null;

/** Decodes a frame that must give exactly `size` bytes. */
export function decompress(frame: Uint8Array, size: number): Uint8Array {
  let from = frameHeader(frame, size);
  const checksum = (frame[4]! & 4) !== 0 ? 4 : 0;
  const out = new Uint8Array(size);
  room ??= { block: new Uint8Array(BLOCK + SPARE), scratch: new Uint8Array(BLOCK) };
  const { block, scratch } = room;
  const carried: Carried = { huffman: null, tables: [null, null, null], offsets: [1, 4, 8], scratch };
  let at = 0;
  for (let last = false; !last; ) {
    if (from + 3 > frame.length) fail("a block is missing");
    const header = frame[from]! | (frame[from + 1]! << 8) | (frame[from + 2]! << 16);
    last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const length = header >> 3;
    from += 3;
    const stored = type === 1 ? 1 : length;
    if (type === 3 || length > BLOCK || from + stored > frame.length) fail("a block's header");
    if (type < 2 && at + length > size) fail("a block is longer than its buffer");
    if (type === 0) {
      out.set(frame.subarray(from, from + length), at);
      at += length;
    } else if (type === 1) {
      out.fill(frame[from]!, at, at + length);
      at += length;
    } else {
      block.set(frame.subarray(from, from + length));
      at = decodeBlock(block, length, carried, out, at);
    }
    from += stored;
  }
  if (at !== size) fail(`it holds ${at} bytes, not ${size}`);
  if (from + checksum !== frame.length) fail("bytes follow it, or are missing");
  return out;
}

/** Checks the header, and the size it may declare; answers where the first block begins. */
function frameHeader(frame: Uint8Array, size: number): number {
  if (frame.length < 6 || frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd) {
    fail("it does not begin as one");
  }
  const descriptor = frame[4]!;
  if ((descriptor & 8) !== 0 || (descriptor & 3) !== 0) fail("it needs a dictionary, or is of a later kind");
  const single = (descriptor & 0x20) !== 0;
  const flag = descriptor >> 6;
  const at = 5 + (single ? 0 : 1);
  const width = flag === 0 ? (single ? 1 : 0) : 2 ** flag;
  if (at + width > frame.length) fail("its header is too short");
  let declared = width === 2 ? 256 : 0;
  for (let i = width - 1; i >= 0; i--) declared += frame[at + i]! * 256 ** i;
  if (width > 0 && declared !== size) fail(`it declares ${declared} bytes, not ${size}`);
  return at + width;
}
