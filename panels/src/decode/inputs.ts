// The inputs asset: texts and tokens of every input, one row per input and axis.
import type { Columns } from "./arrow";
import type { AxisTokens, InputRecord } from "./types";

export function readInputs(columns: Columns): InputRecord[] {
  const number = columns.numbers("input", "uint16", Uint16Array);
  const axis = columns.texts("axis");
  const text = columns.texts("text");
  const pair = columns.texts("pair");
  const tokens = columns.rows("tokens", "utf8");
  const ids = columns.rows("ids", "int32");
  const segments = columns.rows("segments", "uint8");
  const special = columns.rows("special", "bool");
  const generated = columns.rows("generated", "bool");
  const labels = columns.rows("labels", "utf8");
  const cut = columns.numbers("cut", "uint32", Uint32Array);
  const inputs = new Map<number, InputRecord>();
  for (let row = 0; row < columns.length; row++) {
    const names = tokens[row];
    if (!names) throw columns.fail(`row ${row} has no tokens`);
    for (const [name, list] of [
      ["ids", ids[row]],
      ["segments", segments[row]],
      ["special", special[row]],
      ["generated", generated[row]],
      ["labels", labels[row]],
    ] as const) {
      if (list && list.length !== names.length) {
        throw columns.fail(`row ${row} has ${names.length} tokens but ${list.length} ${name}`);
      }
    }
    const record: AxisTokens = {
      axis: axis[row] ?? "",
      text: text[row] ?? null,
      pair: pair[row] ?? null,
      tokens: names as string[],
      ids: ids[row] ? Int32Array.from(ids[row] as number[]) : null,
      segments: segments[row] ? Uint8Array.from(segments[row] as number[]) : null,
      special: (special[row] as boolean[] | null | undefined) ?? null,
      generated: (generated[row] as boolean[] | null | undefined) ?? null,
      labels: (labels[row] as string[] | null | undefined) ?? null,
      cut: cut[row]!,
    };
    const known = inputs.get(number[row]!);
    if (known) known.axes.push(record);
    else inputs.set(number[row]!, { input: number[row]!, axes: [record] });
  }
  return [...inputs.values()].sort((a, b) => a.input - b.input);
}
