// One column of one record batch as its decoder gives it, and whether its buffers hold what its length and offsets claim.
import { Type } from "@uwdata/flechette";

/** The parts of a decoded batch that this reader uses; typed arrays may be longer than `length`. */
export interface RawBatch {
  length: number;
  nullCount: number;
  validity?: Uint8Array;
  offsets?: Int32Array;
  values?: { length: number };
  children?: RawBatch[];
}

export interface RawType {
  typeId: number;
  bitWidth?: number;
  signed?: boolean;
  precision?: number;
  children?: { type: RawType }[];
}

export function typeName(type: RawType): string {
  if (type.typeId === Type.Int) return `${type.signed ? "int" : "uint"}${type.bitWidth}`;
  if (type.typeId === Type.Float) return ["float16", "float32", "float64"][type.precision ?? 3] ?? "float?";
  if (type.typeId === Type.Utf8) return "utf8";
  if (type.typeId === Type.Bool) return "bool";
  if (type.typeId === Type.List) return `list<${typeName(type.children?.[0]?.type ?? { typeId: -1 })}>`;
  return `type ${type.typeId}`;
}

const bytesFor = (bits: number): number => Math.ceil(bits / 8);

const bit = (bytes: Uint8Array, at: number): boolean => ((bytes[at >> 3]! >> (at & 7)) & 1) === 1;

/** Which values are there; null where all are. */
export function validBits(batch: RawBatch): ((row: number) => boolean) | null {
  const { validity, nullCount } = batch;
  return nullCount > 0 && validity ? (row) => bit(validity, row) : null;
}

export function boolAt(batch: RawBatch, row: number): boolean {
  return bit(batch.values as Uint8Array, row);
}

/** Throws, with what is wrong, unless every value of the batch lies inside its buffers. Item lists may hold no nulls. */
export function checkBatch(batch: RawBatch, type: RawType, nested = false): void {
  const { length, nullCount, validity } = batch;
  if (nullCount > 0) {
    if (nested) throw new Error("has null items");
    if (!validity || validity.length < bytesFor(length)) throw new Error("has fewer marks of validity than rows");
    let nulls = 0;
    for (let row = 0; row < length; row++) if (!bit(validity, row)) nulls++;
    if (nulls !== nullCount) throw new Error(`has ${nulls} nulls, not ${nullCount}`);
  }
  const { typeId } = type;
  const values = batch.values?.length ?? 0;
  if (typeId === Type.Int || typeId === Type.Float) {
    if (values < length) throw new Error(`has ${values} values in ${length} rows`);
  } else if (typeId === Type.Bool) {
    if (values < bytesFor(length)) throw new Error("has fewer bits than rows");
  } else if (typeId === Type.Utf8) checkOffsets(batch, values);
  else if (typeId === Type.List) {
    const child = batch.children?.[0];
    const item = type.children?.[0]?.type;
    if (!child || !item) throw new Error("has no items");
    checkOffsets(batch, child.length);
    checkBatch(child, item, true);
  }
}

/** Offsets begin at 0 or later, never descend, and end inside what they count. */
function checkOffsets({ length, offsets }: RawBatch, within: number): void {
  if (length === 0) return;
  if (!offsets || offsets.length < length + 1) throw new Error("has fewer offsets than rows");
  let before = offsets[0]!;
  if (before < 0) throw new Error("has an offset below 0");
  for (let row = 1; row <= length; row++) {
    const next = offsets[row]!;
    if (next < before) throw new Error("has offsets that descend");
    before = next;
  }
  if (before > within) throw new Error("has offsets past its values");
}
