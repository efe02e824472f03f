// Numbers in the columns of the tokens view: as many digits after the point as the greatest of them needs.

export type Format = (value: number) => string;

/** Three digits of the greatest magnitude, one more above 1; smaller numbers stand under it, and none that is there is told as nothing. */
export function formatOf(values: ArrayLike<number>): Format {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (Number.isFinite(values[i]!)) most = Math.max(most, Math.abs(values[i]!));
  const power = most > 0 ? Math.floor(Math.log10(most)) : 3;
  const digits = Math.max(0, Math.min(6, (power < 0 ? 2 : 3) - power));
  const tiny = most > 0 && most < 1e-6;
  return (value) => {
    if (Number.isNaN(value)) return "–";
    const text = tiny && value !== 0 ? value.toExponential(1) : value.toFixed(digits);
    const nothing = value !== 0 && Number(text) === 0;
    const shown = nothing ? `${value < 0 ? ">−" : "<"}${(10 ** -digits).toFixed(digits)}` : text;
    return shown.replaceAll("-", "−");
  };
}
