// The strips of the neuron view: vectors of every key as rows of coloured cells, and of the query above them.
import { fullScale } from "../../draw/strips";
import type { NeuronData } from "./data";

export interface StripColumn {
  name: string;
  title: string;
  width: number;
  /** Row-major over keys; null: there is none of this. */
  values: Float32Array;
  /** Value drawn in full colour. */
  scale: number;
  /** Order of the neurons; values have neurons of their own, which stay as stored. */
  order: number[] | null;
  /** It stands behind the numbers: what comes of the weights. */
  after: boolean;
  /** What stands above the keys: the query under k, the sum under weight × v. */
  top: { name: string; values: Float32Array; scale: number } | null;
}

/** q and k, their products, and of values what was recorded, as far as there is room or it is asked for. */
export function stripsOf(data: NeuronData, show: { keys: boolean; values: boolean }): StripColumn[] {
  const { query, keys, i, neurons, product, values, mixed } = data;
  const list: StripColumn[] = [];
  if (show.keys) {
    const own = query.values.subarray(i * query.width, (i + 1) * query.width);
    const scale = fullScale(keys.values);
    const top = { name: "q", values: own, scale: fullScale(own) };
    list.push(
      {
        name: "k",
        title: "key vector; above it the query vector",
        width: keys.width,
        values: keys.values,
        scale,
        order: neurons,
        after: false,
        top,
      },
      {
        name: "q × k",
        title: "products of the components, times the scale",
        width: keys.width,
        values: product,
        scale: fullScale(product) || 1,
        order: neurons,
        after: false,
        top: null,
      },
    );
  }
  if (show.values && values) {
    const title = "value vector";
    const { width } = values;
    list.push({
      name: "v",
      title,
      width,
      values: values.values,
      scale: fullScale(values.values),
      order: null,
      after: true,
      top: null,
    });
    if (mixed) {
      const known = mixed.products.filter((one) => !Number.isNaN(one));
      const scale = fullScale(known) || 1;
      list.push({
        name: "weight × v",
        title: "value vector times the weight; above it their sum, what the head gives the query token",
        width,
        values: mixed.products,
        scale,
        order: null,
        after: true,
        top: { name: "sum of weight × v", values: mixed.sum, scale: fullScale(mixed.sum) || 1 },
      });
    }
  }
  return list;
}

const digits = (value: number): string => (Number.isNaN(value) ? "not known" : value.toPrecision(3).replace("-", "−"));

/** The component under the pointer, in words. `j` null: of the query row. */
export function stripWords(strip: StripColumn, data: NeuronData, j: number | null, d: number): string {
  const number = strip.order?.[d] ?? d;
  if (j === null) {
    return strip.top ? `${strip.top.name}, neuron ${number}: ${digits(strip.top.values[number]!)}` : "";
  }
  const at = j * strip.width + number;
  const value = digits(strip.values[at]!);
  const { query, keys, i, mixed, values } = data;
  if (strip.values === values?.values || strip.values === mixed?.products) {
    const weight = data.weights?.[j];
    const times = weight === undefined ? "" : `, weight ${digits(weight)}`;
    const v = digits(values!.values[at]!);
    return `neuron ${number} of v: v ${v}${times}${mixed ? `, weight × v ${digits(mixed.products[at]!)}` : ""}`;
  }
  const q = digits(query.values[i * query.width + number]!);
  const k = digits(keys.values[at]!);
  return strip.values === data.product
    ? `neuron ${number}: q ${q}, k ${k}, q × k ${value}`
    : `neuron ${number}: q ${q}, k ${k}, q × k ${digits(data.product[at]!)}`;
}
