// Thumbnails of heads from their small pictures, as lines or as heat, into one buffer for all.
import { ROOT_TABLE } from "../decode/half";
import type { Rgb } from "./colour";
import { Splat } from "./splat";

export type Style = "lines" | "heat";

export interface Picture {
  rows: number;
  columns: number;
  codes: Uint8Array;
}

/** One thumbnail of `size` × `size` device pixels. */
export function thumbnail(
  picture: Picture,
  size: number,
  colour: Rgb,
  style: Style,
  ratio: number,
): Uint8ClampedArray<ArrayBuffer> {
  return style === "heat" ? heat(picture, size, colour) : lines(picture, size, colour, ratio);
}

function lines(
  { rows, columns, codes }: Picture,
  size: number,
  colour: Rgb,
  ratio: number,
): Uint8ClampedArray<ArrayBuffer> {
  const splat = new Splat(size, size);
  const edge = Math.min(3 * ratio, size / 8);
  const most = Math.max(rows, columns, 2) - 1;
  const place = (at: number): number => edge + ((size - 2 * edge) * at) / most;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const weight = ROOT_TABLE[codes[r * columns + c]!]!;
      if (weight >= 0.04) splat.line(place(r), place(c), weight, 0.9 * ratio);
    }
  }
  splat.paint(colour);
  return splat.pixels();
}

function heat({ rows, columns, codes }: Picture, size: number, colour: Rgb): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(size * size * 4);
  for (let y = 0, at = 0; y < size; y++) {
    const row = Math.min(rows - 1, Math.floor((y * rows) / size)) * columns;
    for (let x = 0; x < size; x++, at += 4) {
      // The square root of the weight: what is weak but patterned stays visible.
      const root = codes[row + Math.min(columns - 1, Math.floor((x * columns) / size))]! / 255;
      out[at] = colour[0];
      out[at + 1] = colour[1];
      out[at + 2] = colour[2];
      out[at + 3] = 255 * Math.min(1, 1.15 * root ** 1.3);
    }
  }
  return out;
}
