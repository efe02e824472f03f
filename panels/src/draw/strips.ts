// Strips of signed numbers: blue for positive, orange for negative, strength as opacity.
import { NEGATIVE, POSITIVE, type Rgb } from "./colour";

/** Pixels between the marks of what is not known, and their colour. */
const HATCH = 4;
const UNKNOWN: Rgb = [128, 134, 144];

export interface Strip {
  values: ArrayLike<number>;
  /** Top edge in device pixels. */
  top: number;
}

/** Opacity of a value where `scale` is the value drawn in full colour. */
export function strength(value: number, scale: number): number {
  if (!(scale > 0)) return 0;
  return Math.min(1, Math.abs(value) / scale) ** 0.8;
}

/** Paints strips of one column into a canvas, cells stretched to the column's width. */
export function paintStrips(
  context: CanvasRenderingContext2D,
  strips: Strip[],
  place: { left: number; width: number; height: number },
  scale: number,
  dark: boolean,
): void {
  const positive = dark ? POSITIVE.dark : POSITIVE.light;
  const negative = dark ? NEGATIVE.dark : NEGATIVE.light;
  const pixels = Math.max(1, Math.round(place.width));
  const height = Math.max(1, Math.round(place.height));
  for (const { values, top } of strips) {
    const image = context.createImageData(pixels, height);
    const line = new Uint8ClampedArray(pixels * 4);
    for (let x = 0; x < pixels; x++) {
      const value = values[Math.floor((x * values.length) / pixels)] ?? 0;
      if (Number.isNaN(value)) {
        // Nobody knows it: left blank it would look like nought.
        if (x % HATCH === 0) line.set([...UNKNOWN, 110], x * 4);
        continue;
      }
      const colour: Rgb = value >= 0 ? positive : negative;
      line[x * 4] = colour[0];
      line[x * 4 + 1] = colour[1];
      line[x * 4 + 2] = colour[2];
      line[x * 4 + 3] = 255 * strength(value, scale);
    }
    for (let y = 0; y < height; y++) image.data.set(line, y * pixels * 4);
    context.putImageData(image, Math.round(place.left), Math.round(top));
  }
}

/** The value drawn in full colour: the 98th percentile of magnitudes, so that one outlier does not pale the rest. */
export function fullScale(values: ArrayLike<number>): number {
  const sample: number[] = [];
  const stride = Math.max(1, Math.floor(values.length / 4096));
  for (let i = 0; i < values.length; i += stride) sample.push(Math.abs(values[i]!));
  sample.sort((a, b) => a - b);
  return sample[Math.floor((sample.length - 1) * 0.98)] ?? 0;
}
