// Kinds of attention by their names: between which axes, in which order, and how people read them.

/** `cross` looks from the decoder at the encoder, `a>b` from a at b; every other kind has one axis, of its own name. */
function axesOf(kind: string): [string, string] {
  if (kind === "cross") return ["decoder", "encoder"];
  const at = kind.indexOf(">");
  return at > 0 && at < kind.length - 1 ? [kind.slice(0, at), kind.slice(at + 1)] : [kind, kind];
}

export const queryAxis = (kind: string): string => axesOf(kind)[0];
export const keyAxis = (kind: string): string => axesOf(kind)[1];

/** The parts of a model as a reader meets them; what is not here comes after, by name. */
const ORDER = ["self", "encoder", "decoder", "vision", "audio"];

/** A name in parts to compare by: `vision-2` follows `vision`, and `vision-10` follows `vision-2`. */
function rank(axis: string): [number, string, number] {
  const [base = "", number] = axis.split(/-(?=\d+$)/);
  const known = ORDER.indexOf(base.split("-")[0] ?? "");
  return [known < 0 ? ORDER.length : known, base, Number(number ?? 0)];
}

/** First what looks at itself, then what looks at something else. */
export function compareKinds(a: string, b: string): number {
  const parts = [a, b].map((kind) => {
    const [query, key] = axesOf(kind);
    return [query === key ? 0 : 1, ...rank(query), ...rank(key)];
  });
  for (const [i, one] of parts[0]!.entries()) {
    const other = parts[1]![i]!;
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}

/** An axis in words. */
export const axisName = (axis: string): string => axis.replaceAll("-", " ");

/** A kind in words: `queries>vision-2` is "queries → vision 2". */
export function kindName(kind: string): string {
  const [query, key] = axesOf(kind);
  return query === key || kind === "cross" ? axisName(kind) : `${axisName(query)} → ${axisName(key)}`;
}
