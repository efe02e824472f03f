// Columns of numbers in the neuron view: q·k, then what it takes to come from there to the weights.
import type { Explained } from "../../session/explain";
import { h, short, weightText } from "../../ui/dom";
import { formatOf } from "../tokens/precise";

export interface Column {
  name: string;
  title: string;
  /** Track of the row's grid. */
  track: string;
  right: boolean;
  cell(j: number, masked: boolean): HTMLElement;
  /** The number itself, for tables; NaN where there is none. */
  value(j: number): number;
  /** As it is written. */
  text(j: number): string;
  /** Shown as a bar too. */
  bar: boolean;
}

/** q·k, a bias, and the softmax with or beside the weights that are stored. */
export function columnsOf({ qk, bias, softmax, stored }: Explained): Column[] {
  const numbers = (
    name: string,
    title: string,
    track: string,
    values: ArrayLike<number>,
    text: (v: number) => string,
  ) => {
    const written = (j: number): string => text(values[j]!);
    return {
      name,
      title,
      track,
      right: true,
      bar: false,
      cell: (j: number, masked: boolean) => h("span", { class: "num" }, masked ? "–" : written(j)),
      value: (j: number) => values[j]!,
      text: written,
    } satisfies Column;
  };
  const list: Column[] = [numbers("q·k", "sum of q × k", "34px", qk, oneDigit)];
  if (bias) {
    const format = formatOf(bias);
    const text = (value: number): string => (Number.isFinite(value) ? format(value) : short(value));
    list.push(numbers("bias", "log w − log softmax(q·k)", "44px", bias, text));
  }
  if (!stored) return softmax ? [...list, bars("softmax", "weights", softmax)] : list;
  if (softmax) list.push(numbers("softmax", "softmax of q·k", "46px", softmax, weightText));
  return [...list, bars("weight", "weights that were stored: the greatest of each row", stored)];
}

/** Weights as bars and numbers; NaN is a weight that nobody knows. */
function bars(name: string, title: string, weights: Float32Array): Column {
  const text = (j: number): string => (Number.isNaN(weights[j]!) ? "not stored" : weightText(weights[j]!));
  return {
    name,
    title,
    track: "minmax(62px, 1.2fr)",
    right: false,
    bar: true,
    value: (j) => weights[j]!,
    text,
    cell: (j, masked) => {
      const weight = weights[j]!;
      if (Number.isNaN(weight)) {
        const why = masked ? null : "This weight is not among those that were stored; it need not be 0.";
        return h("span", { class: "bar-cell not-stored", title: why }, masked ? "" : text(j));
      }
      return h(
        "span",
        { class: "bar-cell", title: masked ? null : weight.toFixed(4) },
        h("span", { class: "bar", style: `--w:${weight}` }),
        h("span", { class: "num" }, masked ? "" : text(j)),
      );
    },
  };
}

/** One digit after the point, and no negative nought. */
function oneDigit(value: number): string {
  return value
    .toFixed(1)
    .replace(/^-0\.0$/, "0.0")
    .replace("-", "−");
}
