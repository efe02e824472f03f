// Inputs by a name that people recognise.
import { axisName } from "../session/kinds";
import type { Scene } from "../session/scene";
import { plain, spoken } from "./tokens";

/** An input in a few words: its text, else its tokens, else of what and how many positions it is. */
export function inputName(scene: Scene, number: number, longest = 46): string {
  const record = scene.inputs.find((one) => one.input === number);
  const worded = record?.axes.filter((one) => one.text !== null || one.labels === null) ?? [];
  const axis = worded.find((one) => one.axis === "encoder") ?? worded[0];
  const [first] = record?.axes ?? [];
  if (!axis) return first ? `${number}: ${axisName(first.axis)}, ${first.tokens.length} positions` : `input ${number}`;
  const text = axis.text ? [axis.text, axis.pair].filter(Boolean).join(" | ") : spoken(axis.tokens.slice(0, 200));
  return `${number}: ${plain(text.trim().replace(/\s+/g, "\u2003"), false, longest).replaceAll("\u2003", " ")}`;
}
