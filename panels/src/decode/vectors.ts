// One layer's queries, keys and values, as the attention function saw them.
import type { Columns } from "./arrow";
import { fromHalf } from "./half";
import type { VectorLayer } from "./types";

export function readVectors(columns: Columns): VectorLayer {
  const item = columns.listItem("values");
  if (item !== "float16" && item !== "float32") throw columns.fail(`values are ${item}, not float16 or float32`);
  const list =
    item === "float16" ? columns.list("values", item, Uint16Array) : columns.list("values", item, Float32Array);
  const values = item === "float16" ? fromHalf(list.values as Uint16Array) : (list.values as Float32Array);
  const role = columns.texts("role");
  const head = columns.numbers("head", "uint16", Uint16Array);
  const tokens = columns.numbers("tokens", "uint32", Uint32Array);
  const width = columns.numbers("width", "uint32", Uint32Array);
  const scale = columns.nullableNumbers("scale", "float32");
  const softcap = columns.nullableNumbers("softcap", "float32");
  const causal = columns.booleans("causal");
  const window = columns.nullableNumbers("window", "uint32");
  const sink = columns.nullableNumbers("sink", "float32");
  const rotary = columns.booleans("rotary");
  const layer: VectorLayer = { q: [], k: [], v: [] };
  for (let row = 0; row < columns.length; row++) {
    const part = values.subarray(list.offsets[row]!, list.offsets[row + 1]!);
    if (part.length !== tokens[row]! * width[row]!) {
      throw columns.fail(`${role[row]} ${head[row]} has ${part.length} numbers, not ${tokens[row]} × ${width[row]}`);
    }
    const common = { head: head[row]!, tokens: tokens[row]!, width: width[row]!, values: part };
    if (role[row] === "q") {
      layer.q.push({
        ...common,
        scale: scale[row] ?? 1,
        softcap: softcap[row] ?? null,
        causal: causal[row] ?? null,
        window: window[row] ?? null,
        sink: sink[row] ?? null,
        rotary: rotary[row] ?? false,
      });
    } else if (role[row] === "k") layer.k.push(common);
    else if (role[row] === "v") layer.v.push(common);
    else throw columns.fail(`role ${JSON.stringify(role[row])} is not q, k or v`);
  }
  return layer;
}
