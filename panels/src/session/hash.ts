// State to URL hash and back; what cannot be read falls back to what was there.
import { METRICS, type Metric } from "../decode/types";
import { PAIRS, type Pair } from "./pair";
import type { State } from "./state";

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

export function fromHash(hash: string): Address {
  const address: Address = {};
  for (const part of hash.replace(/^#/, "").slice(0, 20_000).split("&")) {
    const at = part.indexOf("=");
    if (at < 0) continue;
    const key = part.slice(0, at);
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
    else if (key === "heads") {
      const heads = value.split(",").map(count);
      if (heads.length > 0 && heads.every((head) => head !== null)) address.heads = heads as number[];
    }
  }
  return address;
}
