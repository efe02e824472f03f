// Moves through layers, heads and steps, for keys and buttons.
import { findLayer, kindsOf } from "./scene";
import type { Session } from "./session";
import { chosenHeads } from "./state";

/** The layer before or after, within its kind. */
export function moveLayer(session: Session, by: number): void {
  const { scene, state } = session;
  if (!scene) return;
  const entry = findLayer(scene, state.input, state.kind, state.layer);
  const layers = entry ? layersOf(session) : [];
  const next = layers[layers.indexOf(state.layer) + by];
  if (next !== undefined) session.set({ layer: next });
}

export function layersOf(session: Session): number[] {
  const { scene, state } = session;
  if (!scene) return [];
  return (
    kindsOf(scene, state.input)
      .find((one) => one.kind === state.kind)
      ?.layers.map((one) => one.layer) ?? []
  );
}

/** The next head alone. */
export function moveHead(session: Session, by: number): void {
  const { scene, state } = session;
  if (!scene) return;
  const heads = findLayer(scene, state.input, state.kind, state.layer)?.heads ?? [];
  const chosen = chosenHeads(state, scene);
  const from = state.heads?.length === 1 ? heads.indexOf(chosen[0]!) + by : by > 0 ? 0 : heads.length - 1;
  const next = heads[(from + heads.length) % heads.length];
  if (next !== undefined) session.set({ heads: [next] });
}

/** The step before or after. */
export function moveStep(session: Session, by: number): void {
  const steps = session.commits.map((one) => one.step);
  const next = steps[steps.indexOf(session.state.step ?? -1) + by];
  if (next !== undefined) session.set({ step: next });
}
