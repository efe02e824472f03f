// The pictures asset: one small image per head, for the model view.
import type { Columns } from "./arrow";
import type { PictureTable } from "./types";

export function readPictures(columns: Columns): PictureTable {
  const kind = columns.coded("kind");
  const rows = columns.numbers("rows", "uint16", Uint16Array);
  const width = columns.numbers("columns", "uint16", Uint16Array);
  const { offsets, values } = columns.list("picture", "uint8", Uint8Array);
  for (let row = 0; row < columns.length; row++) {
    const length = offsets[row + 1]! - offsets[row]!;
    if (length !== rows[row]! * width[row]!) {
      throw columns.fail(`picture ${row} has ${length} cells, not ${rows[row]} × ${width[row]}`);
    }
  }
  return {
    length: columns.length,
    input: columns.numbers("input", "uint16", Uint16Array),
    kind: kind.codes,
    kinds: kind.names,
    layer: columns.numbers("layer", "uint16", Uint16Array),
    head: columns.numbers("head", "uint16", Uint16Array),
    call: columns.numbers("call", "uint16", Uint16Array),
    rows,
    columns: width,
    offsets,
    codes: values,
  };
}
