// The tokens of one axis, with all that says how they are shown.
import type { AxisTokens } from "../../decode/types";
import { axisOf, type Scene, tokensOf } from "../../session/scene";
import { isByteLevel, plain, spoken } from "../../ui/tokens";
import { type Marking, markingOf, readsFromRight, withoutMark } from "./lines";

export interface Names {
  axis: string;
  tokens: string[];
  labels: string[] | null;
  ids: Int32Array | null;
  special: boolean[] | null;
  generated: boolean[] | null;
  byteLevel: boolean;
  marking: Marking;
  fromRight: boolean;
}

const cache = new WeakMap<AxisTokens, Names>();

export function namesOf(scene: Scene, input: number, axis: string, length: number): Names {
  const record = axisOf(scene, input, axis);
  const known = record && cache.get(record);
  if (known?.tokens.length === length) return known;
  const tokens = tokensOf(scene, input, axis, length);
  const texts = tokens.filter((_, i) => !record?.special?.[i]);
  const made: Names = {
    axis,
    tokens,
    labels: record?.labels ?? null,
    ids: record?.ids ?? null,
    special: record?.special ?? null,
    generated: record?.generated ?? null,
    byteLevel: isByteLevel(tokens),
    marking: markingOf(texts),
    fromRight: readsFromRight(record?.text ?? spoken(texts)),
  };
  if (record) cache.set(record, made);
  return made;
}

/** A token as it stands in a text, and in rows beside which no gap says where words begin. */
export const inText = (names: Names, at: number): string => withoutMark(names.tokens[at] ?? "", names.marking);

/** A token as one line of plain text. */
export const nameOf = (names: Names, at: number, longest = 40): string =>
  plain(inText(names, at), names.byteLevel, longest);
