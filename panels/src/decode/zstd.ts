// The zstd codec for Arrow buffers: output size is read from the frame first and charged to a budget, so nothing inflates unseen.
import { CompressionType, setCompressionCodec } from "@uwdata/flechette";
import { decompress } from "fzstd";
import { AssetSchemaError, AssetTooLarge } from "./errors";

let budget = 0;

/** How many bytes the buffers decoded from now on may have together. */
export function setBudget(bytes: number): void {
  budget = bytes;
}

/** Content size that a zstd frame's header declares, −1 where it declares none (RFC 8878, 3.1.1.1). */
export function frameSize(frame: Uint8Array): number {
  if (frame.length < 6 || frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd) return -1;
  const descriptor = frame[4]!;
  const single = (descriptor & 0x20) !== 0;
  const flag = descriptor >> 6;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const at = 5 + (single ? 0 : 1) + dictionary;
  const width = flag === 0 ? (single ? 1 : 0) : 2 ** flag;
  if (width === 0 || at + width > frame.length) return -1;
  let size = 0;
  for (let i = width - 1; i >= 0; i--) size = size * 256 + frame[at + i]!;
  return width === 2 ? size + 256 : size;
}

setCompressionCodec(CompressionType.ZSTD, {
  encode() {
    throw new Error("this reader does not write");
  },
  decode(frame: Uint8Array): Uint8Array {
    const size = frameSize(frame);
    if (size < 0) throw new AssetSchemaError("a compressed buffer does not say how large it is");
    budget -= size;
    if (budget < 0) throw new AssetTooLarge("the buffers decode to more than the manifest and the cap allow");
    return decompress(frame, new Uint8Array(size));
  },
});
