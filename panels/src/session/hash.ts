// State to URL hash and back; what cannot be read falls back to what was there.
import { METRICS, type Metric } from "../decode/types";
import { PAIRS, type Pair } from "./pair";
import type { Options, Other, Side, State } from "./state";

export interface Address extends Partial<State> {
  run?: string;
}

export function toHash(state: State, run: string | null): string {
  const parts: [string, string][] = [["view", state.view]];
  if (run !== null) parts.push(["run", run]);
  if (state.step !== null) parts.push(["step", String(state.step)]);
  parts.push(["input", String(state.input)], ["kind", state.kind], ["layer", String(state.layer)]);
  if (state.heads) parts.push(["heads", state.heads.join(",")]);
  if (state.query !== null) parts.push(["query", String(state.query)]);
  if (state.pair !== "all") parts.push(["pair", state.pair]);
  if (state.metric !== null) parts.push(["metric", state.metric]);
  if (state.compare) parts.push(["compare", otherText(state.compare)], ["side", state.side]);
  for (const [name, value] of Object.entries(state.options).sort(([a], [b]) => (a < b ? -1 : 1)))
    parts.push([name, value]);
  return `#${parts.map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&")}`;
}

const count = (text: string): number | null => (/^\d{1,15}$/.test(text) ? Number(text) : null);

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const SIDES: readonly Side[] = ["a", "b", "diff"];
/** Longest value of an option that an address may carry. */
const LONGEST = 2000;

/** `step:100`, `input:2`, `run:NAME;step:100`: what differs from A. */
function otherText({ run, step, input }: Other): string {
  return Object.entries({ run, step, input })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}:${String(value).replaceAll("%", "%25").replaceAll(";", "%3B")}`)
    .join(";");
}

function otherOf(text: string): Other | null {
  const found: Other = { run: null, step: null, input: null };
  for (const part of text.split(";")) {
    const at = part.indexOf(":");
    const name = part.slice(0, at);
    const value = decode(part.slice(at + 1));
    if (name === "run" && value) found.run = value;
    else if ((name === "step" || name === "input") && count(value) !== null) found[name] = count(value);
    else return null;
  }
  return found;
}

/** What an address named and is not there, in words; empty where all of it is shown. */
export function missed(asked: Address, shown: State, run: string | null): string {
  const named: [string, unknown, unknown][] = [
    ["run", asked.run, run],
    ["step", asked.step, shown.step],
    ["input", asked.input, shown.input],
    ["kind", asked.kind, shown.kind],
    ["layer", asked.layer, shown.layer],
  ];
  const absent = named.filter(([, wanted, found]) => wanted !== undefined && wanted !== null && wanted !== found);
  const words = absent.map(([name, wanted]) => `${name} ${String(wanted).slice(0, 80)}`);
  return words.length > 0 ? `The address asks for ${words.join(", ")}, which is not here: the nearest is shown.` : "";
}

export function fromHash(hash: string): Address {
  const address: Address = {};
  const options: Record<string, string> = {};
  for (const part of hash.replace(/^#/, "").slice(0, 20_000).split("&")) {
    const at = part.indexOf("=");
    if (at < 0) continue;
    const key = part.slice(0, at).replace(/^#/, "");
    const value = decode(part.slice(at + 1));
    const number = count(value);
    if (key === "view" && /^[a-z]{1,20}$/.test(value)) address.view = value;
    else if (key === "run") address.run = value;
    else if (key === "step" && number !== null) address.step = number;
    else if (key === "input" && number !== null) address.input = number;
    else if (key === "kind" && /^[\w.>-]{1,80}$/.test(value)) address.kind = value;
    else if (key === "layer" && number !== null) address.layer = number;
    else if (key === "query" && number !== null) address.query = number;
    else if (key === "pair" && PAIRS.includes(value as Pair)) address.pair = value as Pair;
    else if (key === "metric" && METRICS.includes(value as Metric)) address.metric = value as Metric;
    else if (key === "compare") address.compare = otherOf(value);
    else if (key === "side" && SIDES.includes(value as Side)) address.side = value as Side;
    else if (/^[a-z]{1,20}\.[a-z]{1,20}$/.test(key) && value.length <= LONGEST) options[key] = value;
    else if (key === "heads") {
      const heads = value.split(",").map(count);
      if (heads.length > 0 && heads.every((head) => head !== null)) address.heads = heads as number[];
    }
  }
  if (Object.keys(options).length > 0) address.options = options as Options;
  return address;
}
