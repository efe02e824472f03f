// A matrix as pixels: greatest value of what falls on one, opacity by the root of the value, unknown cells hatched.
import type { Cells } from "../session/shape/pool";
import type { Rgb } from "./colour";

export interface Shades {
  colour: Rgb;
  /** Of values below 0. */
  negative: Rgb;
  unknown: Rgb;
  /** The value drawn in full colour. */
  scale: number;
  /** Least size that is drawn. */
  least: number;
}

/** Opacity of a value: the root, so that what is weak but patterned stays visible. */
export const shade = (value: number, scale: number): number =>
  scale > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / scale)) : 0;

const HATCH = 5;

export function heatPixels(
  cells: Cells,
  width: number,
  height: number,
  { colour, negative, unknown, scale, least }: Shades,
): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.floor((y * cells.rows) / height) * cells.columns;
    for (let x = 0; x < width; x++, at += 4) {
      const value = cells.values[row + Math.floor((x * cells.columns) / width)]!;
      if (Number.isNaN(value)) {
        if ((x + y) % HATCH > 1) continue;
        out.set(unknown, at);
        out[at + 3] = 90;
      } else if (Math.abs(value) >= least) {
        out.set(value < 0 ? negative : colour, at);
        out[at + 3] = 255 * shade(value, scale);
      }
    }
  }
  return out;
}
