// One layer's queries, keys and values, as the attention function saw them.
import type { Columns } from "./arrow";
import { fromHalf } from "./half";
import type { VectorLayer } from "./types";
import { checkEach, checkFinite, checkScales, isLength } from "./values";
import { checkLengths } from "./weights";

const ITEMS = { f16: "float16", i8: "int8", f32: "float32" } as const;

export function readVectors(columns: Columns): VectorLayer {
  const precision = precisionOf(columns);
  const head = columns.numbers("head", Uint16Array);
  const tokens = columns.numbers("tokens", Uint32Array);
  const width = columns.numbers("width", Uint32Array);
  const { offsets, values } = elements(columns, precision, tokens, width);
  const role = columns.texts("role");
  const scale = columns.floats("scale", Number.isFinite);
  const softcap = columns.floats("softcap", Number.isFinite);
  const causal = columns.booleans("causal");
  const window = columns.nullable("window");
  const sink = columns.floats("sink", Number.isFinite);
  const rotary = columns.booleans("rotary");
  const norms = columns.list("norms", Float32Array);
  checkEach(columns, "norms", norms.values, isLength);
  const layer: VectorLayer = { precision, q: [], k: [], v: [] };
  const known = new Set<string>();
  for (let row = 0; row < columns.length; row++) {
    const name = role[row];
    if (name !== "q" && name !== "k" && name !== "v")
      throw columns.fail(`role ${JSON.stringify(name)} is not q, k or v`);
    const place = `${name} of head ${head[row]}`;
    if (known.has(place)) throw columns.fail(`${place} is there twice`);
    known.add(place);
    const first = layer[name][0];
    if (first && (first.tokens !== tokens[row] || first.width !== width[row])) {
      throw columns.fail(`heads of one layer differ in the shape of ${name}`);
    }
    const common = {
      head: head[row]!,
      tokens: tokens[row]!,
      width: width[row]!,
      values: values.subarray(offsets[row]!, offsets[row + 1]!),
    };
    if (name !== "q") {
      if (!norms.isNull(row)) throw columns.fail(`${place} has norms, which only queries have`);
      layer[name].push(common);
      continue;
    }
    if (Number.isNaN(scale[row])) throw columns.fail(`${place} has no scale`);
    layer.q.push({
      ...common,
      scale: scale[row]!,
      softcap: orNull(softcap[row]),
      causal: causal[row] ?? null,
      window: orNull(window[row]),
      sink: orNull(sink[row]),
      rotary: rotary[row] ?? false,
      norms: norms.isNull(row) ? null : norms.values.subarray(norms.offsets[row]!, norms.offsets[row + 1]!),
    });
  }
  const keys = layer.k[0]?.tokens;
  for (const { head, norms: own } of layer.q) {
    if (own && keys !== undefined && own.length !== keys) {
      throw columns.fail(`head ${head} has ${own.length} norms of ${keys} keys`);
    }
  }
  if (layer.q[0] && layer.k[0] && layer.q[0].width !== layer.k[0].width) throw columns.fail("q and k differ in width");
  return layer;
}

const orNull = (value: number | undefined): number | null =>
  value === undefined || Number.isNaN(value) ? null : value;

/** What the metadata say, and the type of the elements has to be; where they say nothing, what the type is. */
function precisionOf(columns: Columns): "f16" | "i8" | "f32" {
  const item = columns.type("values");
  const said = columns.precision ?? (item === "float16" ? "f16" : "f32");
  if (said !== "f16" && said !== "i8" && said !== "f32") {
    throw columns.fail(`attnlog.precision is ${JSON.stringify(said)}, not f16, i8 or f32`);
  }
  if (item !== ITEMS[said]) throw columns.fail(`values are ${item}, which ${said} is not`);
  return said;
}

function elements(
  columns: Columns,
  precision: "f16" | "i8" | "f32",
  tokens: Uint32Array,
  width: Uint32Array,
): { offsets: Uint32Array; values: Float32Array } {
  const make = { f16: Uint16Array, i8: Int8Array, f32: Float32Array }[precision];
  const list = columns.list<Uint16Array | Int8Array | Float32Array>("values", make);
  checkLengths(columns, "values", list.offsets, (row) => tokens[row]! * width[row]!);
  if (precision === "f16" || precision === "f32") {
    const values = precision === "f16" ? fromHalf(list.values as Uint16Array) : (list.values as Float32Array);
    checkFinite(columns, "values", values);
    return { offsets: list.offsets, values };
  }
  const scales = columns.list("scales", Float32Array);
  for (let row = 0; row < columns.length; row++) if (scales.isNull(row)) throw columns.fail(`row ${row} has no scales`);
  checkLengths(columns, "scales", scales.offsets, (row) => tokens[row]!);
  checkScales(columns, "scales", scales.values);
  const values = Float32Array.from(list.values);
  for (let row = 0; row < columns.length; row++) {
    for (let token = 0, at = list.offsets[row]!; token < tokens[row]!; token++) {
      const scale = scales.values[scales.offsets[row]! + token]!;
      for (const end = at + width[row]!; at < end; at++) values[at] = values[at]! * scale;
    }
  }
  return { offsets: list.offsets, values };
}
