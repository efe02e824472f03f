// The inputs asset: texts and tokens of every input, one row per input and axis.
import type { Columns } from "./arrow";
import type { AxisTokens, InputRecord } from "./types";

/** Lists that have one item per token, or are null. */
const PER_TOKEN = ["ids", "starts", "ends", "segments", "special", "generated", "labels"] as const;

export function readInputs(columns: Columns): InputRecord[] {
  const number = columns.numbers("input", Uint16Array);
  const axis = columns.texts("axis");
  const text = columns.texts("text");
  const pair = columns.texts("pair");
  const tokens = columns.rows("tokens");
  const cut = columns.numbers("cut", Uint32Array);
  const lists = Object.fromEntries(PER_TOKEN.map((name) => [name, columns.rows(name)])) as Record<
    (typeof PER_TOKEN)[number],
    (unknown[] | null)[]
  >;
  const inputs = new Map<number, InputRecord>();
  const places = new Set<string>();
  for (let row = 0; row < columns.length; row++) {
    const names = tokens[row] as string[];
    for (const name of PER_TOKEN) {
      const list = lists[name][row];
      if (list && list.length !== names.length) {
        throw columns.fail(`row ${row} has ${names.length} tokens but ${list.length} ${name}`);
      }
    }
    const { ids, starts, ends, segments, special, generated, labels } = lists;
    const record: AxisTokens = {
      axis: axis[row]!,
      text: text[row] ?? null,
      pair: pair[row] ?? null,
      tokens: names,
      ids: ids[row] ? Int32Array.from(ids[row] as number[]) : null,
      starts: starts[row] ? Uint32Array.from(starts[row] as number[]) : null,
      ends: ends[row] ? Uint32Array.from(ends[row] as number[]) : null,
      segments: segments[row] ? Uint8Array.from(segments[row] as number[]) : null,
      special: (special[row] as boolean[] | null | undefined) ?? null,
      generated: (generated[row] as boolean[] | null | undefined) ?? null,
      labels: (labels[row] as string[] | null | undefined) ?? null,
      cut: cut[row]!,
    };
    const place = `${number[row]} ${record.axis}`;
    if (places.has(place))
      throw columns.fail(`axis ${JSON.stringify(record.axis)} of input ${number[row]} is there twice`);
    places.add(place);
    const known = inputs.get(number[row]!);
    if (known) known.axes.push(record);
    else inputs.set(number[row]!, { input: number[row]!, axes: [record] });
  }
  const list = [...inputs.values()].sort((a, b) => a.input - b.input);
  list.forEach((one, i) => {
    if (one.input !== i) throw columns.fail(`input ${i} is missing`);
  });
  return list;
}
