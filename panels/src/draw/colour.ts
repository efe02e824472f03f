// Colours of data: layers walk round OKLCH at one lightness, heads take ten separable colours, strips run blue to orange.

export type Rgb = readonly [number, number, number];

const encode = (x: number): number =>
  255 * Math.max(0, Math.min(1, x <= 0.0031 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));

/** OKLCH to 8-bit sRGB (Ottosson's matrices); hue in degrees. */
export function oklch(lightness: number, chroma: number, hue: number): Rgb {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963 * a + 0.2158 * b) ** 3;
  const m = (lightness - 0.1056 * a - 0.0639 * b) ** 3;
  const s = (lightness - 0.0895 * a - 1.2915 * b) ** 3;
  return [
    encode(4.0767 * l - 3.3077 * m + 0.231 * s),
    encode(-1.2684 * l + 2.6098 * m - 0.3413 * s),
    encode(-0.0042 * l - 0.7034 * m + 1.7076 * s),
  ];
}

/** Colour of the n-th of `count` layers: no layer is lighter than another, so none shouts. */
export function layerColour(n: number, count: number, dark: boolean): Rgb {
  return oklch(dark ? 0.74 : 0.56, 0.13, 250 + (n / Math.max(1, count)) * 300);
}

const HEADS_LIGHT = [
  "#3d63cc",
  "#b35c00",
  "#1a7c4b",
  "#c8338f",
  "#7d4fc4",
  "#00788a",
  "#866400",
  "#bd3a2d",
  "#5b7a16",
  "#756046",
];
const HEADS_DARK = [
  "#7d9bff",
  "#ff9f3d",
  "#4fd092",
  "#ff7ac6",
  "#b795ff",
  "#3ccfdc",
  "#e0b93d",
  "#ff7d6e",
  "#a5cc52",
  "#c7ae8b",
];

/** Colour of a head, as text for styles; ten, then again from the first. */
export function headColour(head: number, dark: boolean): string {
  const list = dark ? HEADS_DARK : HEADS_LIGHT;
  return list[head % list.length]!;
}

export function fromHex(text: string): Rgb {
  return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16)) as unknown as Rgb;
}

export const css = (colour: Rgb, alpha = 1): string =>
  `rgb(${colour.map(Math.round).join(" ")}${alpha < 1 ? ` / ${alpha.toFixed(3)}` : ""})`;

export const POSITIVE = { light: [43, 108, 176] as Rgb, dark: [99, 164, 255] as Rgb };
export const NEGATIVE = { light: [201, 98, 5] as Rgb, dark: [255, 159, 74] as Rgb };
