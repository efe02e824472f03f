// The pictures asset: one small image per head, for the model view.
import type { Columns } from "./arrow";
import type { PictureTable } from "./types";
import { checkLengths } from "./weights";

export function readPictures(columns: Columns): PictureTable {
  const { precision } = columns;
  if (precision !== "u8") throw columns.fail(`attnlog.precision is ${JSON.stringify(precision)}, not u8`);
  const kind = columns.coded("kind");
  const rows = columns.numbers("rows", Uint16Array);
  const width = columns.numbers("columns", Uint16Array);
  const { offsets, values } = columns.list("picture", Uint8Array);
  checkLengths(columns, "picture", offsets, (row) => rows[row]! * width[row]!);
  return {
    length: columns.length,
    input: columns.numbers("input", Uint16Array),
    kind: kind.codes,
    kinds: kind.names,
    layer: columns.numbers("layer", Uint16Array),
    head: columns.numbers("head", Uint16Array),
    call: columns.numbers("call", Uint16Array),
    rows,
    columns: width,
    offsets,
    codes: values,
  };
}
