// What a panel's options ask for at the start, as an address of the studio; what they cannot say is told in words.
import { PAIRS } from "../../session/pair";

export interface Asked {
  /** State to start from, as a hash. */
  state: string;
  theme: "light" | "dark" | null;
  /** What of the options cannot be read, in words; empty where all can. */
  said: string;
}

/** Names of the studio's views, which are no part of this script. */
export const VIEWS = ["model", "head", "matrix", "neuron", "timeline", "tokens"] as const;

type Reading = (value: unknown) => string | null;

const whole: Reading = (value) => (/^\d{1,15}$/.test(String(value)) ? String(value) : null);
const oneOf =
  (names: readonly string[]): Reading =>
  (value) =>
    names.includes(String(value)) ? String(value) : null;

/** `3`, `"0,3"` or `[0, 3]`; "all" is how it is anyway. */
const heads: Reading = (value) => {
  const list = (Array.isArray(value) ? value : String(value).split(",")).map((one) => String(one).trim());
  return list.length > 0 && list.every((one) => whole(one) !== null) ? list.join(",") : null;
};

/** Options by name: how each is read, and what it may be. */
const OPTIONS: Record<string, [Reading, string]> = {
  view: [oneOf(VIEWS), VIEWS.join(", ")],
  step: [whole, "a step's number"],
  input: [whole, "an input's number"],
  kind: [(value) => (/^[\w.>-]{1,80}$/.test(String(value)) ? String(value) : null), "a kind of attention"],
  layer: [whole, "a layer's number"],
  heads: [heads, "numbers of heads, such as [0, 3]"],
  pair: [oneOf(PAIRS), PAIRS.join(", ")],
  theme: [oneOf(["light", "dark"]), "light, dark"],
};

export function readOptions(options: Readonly<Record<string, unknown>> | undefined): Asked {
  const parts: string[] = [];
  const said: string[] = [];
  let theme: Asked["theme"] = null;
  for (const [name, [read, may]] of Object.entries(OPTIONS)) {
    const value = options?.[name];
    if (value === undefined || value === null || value === "" || value === "all") continue;
    const text = read(value);
    if (text === null) said.push(`${name} is ${JSON.stringify(value)?.slice(0, 60)}, and may be: ${may}`);
    else if (name === "theme") theme = text as "light" | "dark";
    else parts.push(`${name}=${encodeURIComponent(text).replaceAll("%2C", ",")}`);
  }
  return {
    state: parts.length > 0 ? `#${parts.join("&")}` : "",
    theme,
    said: said.length > 0 ? `Of the panel's options, ${said.join("; ")}.` : "",
  };
}
