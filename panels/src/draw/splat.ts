// Lines as coverage in a number array: where lines cross, coverage adds up and is tone-mapped, so crossings stay readable.
import type { Rgb } from "./colour";

/** How fast coverage turns opaque: a weight of 1 is drawn at 1 − e^−GAIN. */
const GAIN = 2.4;
/** Mean coverage from which a picture is exposed less. */
const CROWDED = 0.16;

/** Where a line stands between its ends, for each column: flat at both ends, so that lines leave their token level. */
export function easing(width: number): Float32Array {
  const curve = new Float32Array(width);
  for (let x = 0; x < width; x++) {
    const t = width > 1 ? x / (width - 1) : 0;
    curve[x] = t * t * (3 - 2 * t) * 0.35 + t * 0.65;
  }
  return curve;
}

/** A canvas as numbers: coverage of the head being drawn, and colours added up over heads. */
export class Splat {
  readonly width: number;
  readonly height: number;
  private readonly curve: Float32Array;
  private readonly coverage: Float32Array;
  private readonly sum: Float32Array;
  private dirty = false;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.curve = easing(width);
    this.coverage = new Float32Array(width * height);
    this.sum = new Float32Array(width * height * 4);
  }

  /** One line from (0, y0) to (width, y1), `thick` pixels, adding `weight` where it covers a pixel. */
  line(y0: number, y1: number, weight: number, thick: number): void {
    const { width, height, curve, coverage } = this;
    const rise = y1 - y0;
    // Steep parts are filled over the height one column climbs, else they break into dots.
    const half = Math.max(thick, Math.abs(rise) * (1.3 / width)) / 2;
    const [from, to] = this.span(y0, rise, half);
    if (from >= to) return;
    this.dirty = true;
    for (let x = from; x < to; x++) {
      const y = y0 + rise * curve[x]!;
      const top = Math.max(0, y - half);
      const bottom = Math.min(height, y + half);
      if (bottom <= top) continue;
      const first = top | 0;
      let at = first * width + x;
      if (bottom <= first + 1) {
        coverage[at] = coverage[at]! + weight * (bottom - top);
        continue;
      }
      coverage[at] = coverage[at]! + weight * (first + 1 - top);
      at += width;
      const last = bottom | 0;
      for (let row = first + 1; row < last; row++, at += width) coverage[at] = coverage[at]! + weight;
      if (bottom > last) coverage[at] = coverage[at]! + weight * (bottom - last);
    }
  }

  /** Columns in which a line can touch the picture: most lines of a long input cross it only near one end. */
  private span(y0: number, rise: number, half: number): [number, number] {
    const { width, height, curve } = this;
    if (rise === 0) return y0 + half > 0 && y0 - half < height ? [0, width] : [0, 0];
    // The curve climbs steadily: the first column past a share of the way, by halving.
    const past = (share: number): number => {
      let low = 0;
      let high = width;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (curve[middle]! < share) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const a = (-half - y0) / rise;
    const b = (height + half - y0) / rise;
    return [Math.max(0, past(Math.min(a, b)) - 1), Math.min(width, past(Math.max(a, b)) + 1)];
  }

  /** Ends one head: its coverage is added in its colour, and cleared. */
  paint(colour: Rgb): void {
    if (!this.dirty) return;
    this.dirty = false;
    const { coverage, sum } = this;
    const [r, g, b] = colour;
    for (let p = 0, at = 0; p < coverage.length; p++, at += 4) {
      const a = coverage[p]!;
      if (a === 0) continue;
      sum[at] = sum[at]! + r * a;
      sum[at + 1] = sum[at + 1]! + g * a;
      sum[at + 2] = sum[at + 2]! + b * a;
      sum[at + 3] = sum[at + 3]! + a;
      coverage[p] = 0;
    }
  }

  /** How much covers a pixel on average. */
  private density(): number {
    let total = 0;
    for (let at = 3; at < this.sum.length; at += 4) total += this.sum[at]!;
    return total / Math.max(1, this.sum.length / 4);
  }

  /**
   * The picture: mean colour of what covers a pixel, opacity tone-mapped. A crowded picture is exposed less, so that
   * strong lines still stand out of the field of weak ones.
   */
  pixels(): Uint8ClampedArray<ArrayBuffer> {
    const { sum } = this;
    const gain = GAIN * Math.max(0.22, Math.min(1, CROWDED / this.density()) ** 0.75);
    const out = new Uint8ClampedArray(sum.length);
    for (let at = 0; at < sum.length; at += 4) {
      const a = sum[at + 3]!;
      if (a === 0) continue;
      out[at] = sum[at]! / a;
      out[at + 1] = sum[at + 1]! / a;
      out[at + 2] = sum[at + 2]! / a;
      out[at + 3] = 255 * (1 - Math.exp(-gain * a));
    }
    return out;
  }
}
