// Hidden states: what the statistics asset says of every token, and the states of one layer.
import type { Columns } from "./arrow";
import { fromHalf } from "./half";
import { locate } from "./locate";
import { type HiddenLayer, STATISTICS, type StateLayer, type StatePlace, type Statistic } from "./types";
import { checkEach, checkFinite, isCosine, isMetric } from "./values";
import { checkLengths } from "./weights";

const FITS: Record<Statistic, (value: number) => boolean> = {
  mean: Number.isFinite,
  std: isMetric,
  norm: isMetric,
  min: Number.isFinite,
  max: Number.isFinite,
  cosine: (value) => Number.isNaN(value) || isCosine(value),
};

/** Which layer each row is of; none may be there twice. */
function places(columns: Columns): StatePlace[] {
  const input = columns.numbers("input", Uint16Array);
  const axis = columns.texts("axis");
  const layer = columns.numbers("layer", Uint16Array);
  const tokens = columns.numbers("tokens", Uint32Array);
  const width = columns.numbers("width", Uint32Array);
  const known = new Set<string>();
  return Array.from({ length: columns.length }, (_, row) => {
    const key = `${input[row]} ${layer[row]} ${axis[row]}`;
    if (known.has(key)) throw columns.fail(`layer ${layer[row]} of ${axis[row]} of input ${input[row]} is there twice`);
    known.add(key);
    return {
      input: input[row]!,
      axis: axis[row]!,
      layer: layer[row]!,
      tokens: tokens[row]!,
      width: width[row]!,
    };
  });
}

export function readStates(columns: Columns): StateLayer[] {
  const rows = places(columns);
  const { codes, parts } = locate(columns, "hidden");
  const statistics = STATISTICS.map((name) => {
    const list = columns.list(name, Float32Array);
    checkLengths(columns, name, list.offsets, (row) => rows[row]!.tokens);
    checkEach(columns, name, list.values, FITS[name]);
    return { name, list };
  });
  return rows.map((place, row) => ({
    ...place,
    statistics: Object.fromEntries(
      statistics.map(({ name, list }) => [name, list.values.subarray(list.offsets[row]!, list.offsets[row + 1]!)]),
    ) as Record<Statistic, Float32Array>,
    hidden: parts[codes[row]!] ?? null,
  }));
}

export function readHidden(columns: Columns): HiddenLayer[] {
  const { precision } = columns;
  const item = columns.type("values");
  if (precision !== "f16" && precision !== "f32") {
    throw columns.fail(`attnlog.precision is ${JSON.stringify(precision)}, not f16 or f32`);
  }
  if (item !== (precision === "f16" ? "float16" : "float32")) {
    throw columns.fail(`values are ${item}, which ${precision} is not`);
  }
  const rows = places(columns);
  const list = columns.list<Uint16Array | Float32Array>("values", precision === "f16" ? Uint16Array : Float32Array);
  checkLengths(columns, "values", list.offsets, (row) => rows[row]!.tokens * rows[row]!.width);
  const values = precision === "f16" ? fromHalf(list.values as Uint16Array) : (list.values as Float32Array);
  checkFinite(columns, "values", values);
  return rows.map((place, row) => ({
    ...place,
    precision,
    values: values.subarray(list.offsets[row]!, list.offsets[row + 1]!),
  }));
}
