// What the shown query token takes from values: each key's value times its weight, and their sum.

export interface Mixed {
  /** Weight × v of each key, row-major; rows of keys whose weight is not known are NaN. */
  products: Float32Array;
  /** Their sum over the keys that are known: what the head gives the query token. */
  sum: Float32Array;
  /** Weight that lies on keys whose weight is not known. */
  known: boolean;
}

export function mixed(weights: ArrayLike<number>, values: Float32Array, width: number): Mixed {
  const products = new Float32Array(values.length);
  const sum = new Float32Array(width);
  let known = true;
  for (let j = 0; j * width < values.length; j++) {
    const weight = weights[j]!;
    if (Number.isNaN(weight)) known = false;
    for (let d = 0; d < width; d++) {
      const product = weight * values[j * width + d]!;
      products[j * width + d] = product;
      if (!Number.isNaN(product)) sum[d] = sum[d]! + product;
    }
  }
  return { products, sum, known };
}
