// Which numbers can be what they are said to be: weights and masses in [0, 1], vectors and metrics finite (Reading safely, step 7).
import type { Columns } from "./arrow";
import type { Codes } from "./types";

/** float32 like the columns they are compared with. */
const MOST = Math.fround(1.001);
const LEAST = Math.fround(-0.001);
/** float16 just below 1.001, and −0. */
const MOST_HALF = 0x3c01;
const MINUS_ZERO = 0x8000;
/** Of a cosine. */
export const isCosine = (value: number): boolean => value >= -MOST && value <= MOST;

export const isMass = (value: number): boolean => value >= 0 && value <= MOST;
/** Metrics, means of left-out masses, and the differences `check` and `explained`. */
export const isMetric = (value: number): boolean => value >= LEAST && Number.isFinite(value);

/** Fails unless each value fits. */
export function checkEach(
  columns: Columns,
  name: string,
  values: Float32Array,
  fits: (value: number) => boolean,
): void {
  for (let i = 0; i < values.length; i++) {
    if (!fits(values[i]!)) throw columns.refuse(`${name} holds ${values[i]}`);
  }
}

/** Of scales and norms. */
export const isLength = (value: number): boolean => value >= 0 && Number.isFinite(value);

/** Weights in their codes; every uint8 is one. */
export function checkWeights(columns: Columns, name: string, codes: Codes): void {
  if (codes instanceof Uint16Array) {
    for (let i = 0; i < codes.length; i++) {
      if (codes[i]! > MOST_HALF && codes[i] !== MINUS_ZERO) throw columns.refuse(`${name} has no weight at ${i}`);
    }
  } else if (codes instanceof Float32Array) checkMasses(columns, name, codes);
}

export function checkMasses(columns: Columns, name: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (!isMass(values[i]!)) throw columns.refuse(`${name} holds ${values[i]}, which is not between 0 and 1`);
  }
}

export const checkScales = (columns: Columns, name: string, values: Float32Array): void =>
  checkEach(columns, name, values, isLength);

export const checkFinite = (columns: Columns, name: string, values: Float32Array): void =>
  checkEach(columns, name, values, Number.isFinite);
