// Places: the four columns that say where a batch lies in another asset of the commit.
import type { Columns } from "./arrow";
import type { BatchPart } from "./types";

const FILE = /^[a-z0-9-]+\.arrow$/;

/** Of each row the number of its part in `parts`, −1 where nothing was written; `known` lets several places share parts. */
export function locate(
  columns: Columns,
  place: string,
  parts: BatchPart[] = [],
  known = new Map<string, number>(),
): { codes: Int32Array; parts: BatchPart[] } {
  const paths = columns.coded(`${place}_path`);
  const digests = columns.coded(`${place}_sha256`);
  const offsets = columns.nullable(`${place}_offset`);
  const lengths = columns.nullable(`${place}_length`);
  const codes = paths.codes.map((code, row) => {
    if (code < 0) return -1;
    const path = paths.names[code]!;
    const offset = offsets[row]!;
    const length = lengths[row]!;
    const sha256 = digests.names[digests.codes[row]!];
    if (!FILE.test(path)) throw columns.fail(`row ${row} names the file ${JSON.stringify(path).slice(0, 80)}`);
    if (Number.isNaN(offset) || Number.isNaN(length) || sha256 === undefined) {
      throw columns.fail(`row ${row} does not say where its batch lies`);
    }
    const key = `${path} ${offset} ${length} ${sha256}`;
    let at = known.get(key);
    if (at === undefined) {
      at = parts.push({ path, offset, length, sha256 }) - 1;
      known.set(key, at);
    }
    return at;
  });
  return { codes, parts };
}
