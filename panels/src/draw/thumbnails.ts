// Thumbnails of heads from their small pictures: as lines, as heat, and of differences as heat in two colours.
import { ROOT_TABLE } from "../decode/half";
import { NEGATIVE, POSITIVE, type Rgb } from "./colour";
import { Splat } from "./splat";

/** What nobody knows is hatched: left blank it would look like no difference. */
const HATCH = 5;
const UNKNOWN: Rgb = [128, 134, 144];

export type Style = "lines" | "heat";

/** Weights, as codes whose squares they are. */
export interface CodedPicture {
  rows: number;
  columns: number;
  codes: Uint8Array;
  signed?: false;
}

/** Differences from −1 to 1, row-major. */
export interface SignedPicture {
  rows: number;
  columns: number;
  values: Float32Array;
  signed: true;
}

export type Picture = CodedPicture | SignedPicture;

export interface Look {
  colour: Rgb;
  style: Style;
  /** Device pixels per CSS pixel. */
  ratio: number;
  dark: boolean;
}

/** One thumbnail of `size` × `size` device pixels. Differences are heat whatever the style: lines have no sign. */
export function thumbnail(picture: Picture, size: number, look: Look): Uint8ClampedArray<ArrayBuffer> {
  if (picture.signed) return signedHeat(picture, size, look.dark);
  return look.style === "heat" ? heat(picture, size, look.colour) : lines(picture, size, look.colour, look.ratio);
}

function lines(
  { rows, columns, codes }: CodedPicture,
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

/** The square root of the weight, nearly: what is weak but patterned stays visible. */
const opacity = (weight: number): number => 255 * Math.min(1, 1.15 * weight ** 0.65);

function heat({ rows, columns, codes }: CodedPicture, size: number, colour: Rgb): Uint8ClampedArray<ArrayBuffer> {
  return cells(rows, columns, size, (at, out, to) => {
    out[to] = colour[0];
    out[to + 1] = colour[1];
    out[to + 2] = colour[2];
    out[to + 3] = opacity(ROOT_TABLE[codes[at]!]!);
  });
}

function signedHeat(
  { rows, columns, values }: SignedPicture,
  size: number,
  dark: boolean,
): Uint8ClampedArray<ArrayBuffer> {
  const theme = dark ? "dark" : "light";
  return cells(rows, columns, size, (at, out, to) => {
    const value = values[at]!;
    if (Number.isNaN(value)) {
      const pixel = to / 4;
      if (((pixel % size) + Math.floor(pixel / size)) % HATCH <= 1) out.set([...UNKNOWN, 90], to);
      return;
    }
    const colour = value >= 0 ? POSITIVE[theme] : NEGATIVE[theme];
    out[to] = colour[0];
    out[to + 1] = colour[1];
    out[to + 2] = colour[2];
    out[to + 3] = opacity(Math.abs(value));
  });
}

/** Stretches cells over the pixels of a square. */
function cells(
  rows: number,
  columns: number,
  size: number,
  paint: (at: number, out: Uint8ClampedArray, to: number) => void,
): Uint8ClampedArray<ArrayBuffer> {
  const out = new Uint8ClampedArray(size * size * 4);
  for (let y = 0, to = 0; y < size; y++) {
    const row = Math.min(rows - 1, Math.floor((y * rows) / size)) * columns;
    for (let x = 0; x < size; x++, to += 4)
      paint(row + Math.min(columns - 1, Math.floor((x * columns) / size)), out, to);
  }
  return out;
}
