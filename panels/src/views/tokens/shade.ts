// How strongly tokens are shaded: signed strength from −1 to 1, and what of it the page's ink can bear.
import { extent } from "../../draw/axis";
import { css, NEGATIVE, POSITIVE } from "../../draw/colour";
import { fullScale, strength } from "../../draw/strips";

/** Full shade: as strong as text on it stays readable (4.5 : 1 and more in both themes). */
const FULL = { light: 0.6, dark: 0.42 };
/** From this opacity on faint ink would not be readable. */
const STRONG = 0.12;

export interface Shading {
  /** Signed strength of each token; NaN: there is no value. */
  of(at: number): number;
  /** Values that have no shade at all, and the full one, in words. */
  words: string;
}

/** Strengths by size, 0 unshaded; one outlier does not pale the rest. */
export function bySize(values: ArrayLike<number>): (at: number) => number {
  const known = Array.from(values).filter((value) => Number.isFinite(value));
  const scale = fullScale(known) || known.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return (at) => {
    const value = values[at] ?? Number.NaN;
    return Number.isNaN(value) ? Number.NaN : Math.sign(value) * strength(value, scale);
  };
}

/** Strengths from the least value, unshaded, to the greatest: for numbers of which nought is far away. */
export function byRange(values: ArrayLike<number>): (at: number) => number {
  const known = Array.from(values).filter((value) => Number.isFinite(value));
  const [low, high] = extent(known);
  return (at) => {
    const value = values[at] ?? Number.NaN;
    return Number.isNaN(value) ? Number.NaN : high > low ? (value - low) / (high - low) : 0;
  };
}

/** The colour and opacity of a strength. */
export function shadeOf(signed: number, dark: boolean): { fill: string; opacity: number; strong: boolean } {
  const colour = signed < 0 ? NEGATIVE : POSITIVE;
  const opacity = Number.isNaN(signed) ? 0 : Math.abs(signed) * (dark ? FULL.dark : FULL.light);
  return { fill: css(dark ? colour.dark : colour.light), opacity, strong: opacity > STRONG };
}
