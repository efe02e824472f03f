// The zstd codec for Arrow buffers. How long each may become was added up before (bounds.ts); here it has to be just that.
import { CompressionType, setCompressionCodec } from "@uwdata/flechette";
import { readI64 } from "./flatbuffer";
import { decompress } from "./zstd/frame";

setCompressionCodec(CompressionType.ZSTD, {
  encode() {
    throw new Error("this reader does not write");
  },
  decode(frame: Uint8Array): Uint8Array {
    // A frame is a view into its message: the length that was declared for it stands in the eight bytes before.
    const size = readI64(new DataView(frame.buffer, frame.byteOffset - 8, 8), 0);
    return size === 0 && frame.length === 0 ? frame : decompress(frame, size);
  },
});
