// Reads the weights that a view of one layer draws: those of A, of B where both are compared, in the shape that is asked for.
import { NotRecordedError } from "../../decode/errors";
import type { WeightLayer } from "../../decode/types";
import { keyAxis, queryAxis } from "../../session/kinds";
import { type Compared, lacks } from "../../session/other";
import { hasPair } from "../../session/pair";
import { axisOf, findLayer, type Scene } from "../../session/scene";
import { type Part, type Shaped, Shaper, type Wanted } from "../../session/shape/shape";
import { chosenHeads } from "../../session/state";
import { type Shown, readyKey } from "../view";
import { why } from "../why";

/** What is asked for, from the state: options are those that the head and matrix view share. */
export function wantedOf({ state, scene }: Shown): Wanted {
  const { options, input, kind } = state;
  const paired = hasPair(axisOf(scene, input, queryAxis(kind))) && hasPair(axisOf(scene, input, keyAxis(kind)));
  return {
    heads: chosenHeads(state, scene),
    pair: paired ? state.pair : "all",
    words: options["weights.words"] === "1",
    special: options["weights.special"] !== "0",
    normalise: options["weights.norm"] === "1",
    mean: options["weights.mean"] === "1",
  };
}

export class LayerReader {
  a: WeightLayer | null = null;
  b: WeightLayer | null = null;
  private loaded = "";
  private turn = 0;
  private shaper: Shaper | null = null;
  private shaperKey = "";

  constructor(private readonly events: { ready(): void; fail(error: unknown): void }) {}

  /** Whether the weights of what is shown are at hand; if not they are read, and `ready` or `fail` is called. */
  update(shown: Shown): boolean {
    const key = sourceKey(shown);
    if (key === this.loaded) return this.a !== null;
    this.loaded = key;
    this.a = this.b = this.shaper = null;
    const turn = ++this.turn;
    void this.read(shown).then(
      ([a, b]) => {
        if (turn !== this.turn) return;
        this.a = a;
        this.b = b;
        this.shaperKey = "";
        this.events.ready();
      },
      (error) => {
        if (turn !== this.turn) return;
        this.loaded = "";
        this.events.fail(error);
      },
    );
    return false;
  }

  /** What the weights that are at hand are of. */
  get source(): string {
    return this.loaded;
  }

  /** The weights as they are to be drawn; of two sides the difference, unless one of them is asked for. */
  shape(shown: Shown, side: "a" | "b" | "diff" = shown.other ? "diff" : "a"): Shaped {
    const wanted = wantedOf(shown);
    const key = `${this.loaded} ${JSON.stringify(wanted)}`;
    if (!this.shaper || key !== this.shaperKey) {
      this.shaperKey = key;
      this.shaper = new Shaper(part(shown.scene, shown.state.input, shown, this.a!), this.other(shown), wanted);
    }
    return this.shaper.shape(side);
  }

  private other(shown: Shown): Part | null {
    return shown.other && this.b ? part(shown.other.scene, shown.other.input, shown, this.b) : null;
  }

  private async read(shown: Shown): Promise<[WeightLayer, WeightLayer | null]> {
    const { other } = shown;
    const absent = other && lacks(other, shown.state);
    if (absent) throw absent;
    return await Promise.all([one(shown), other ? oneOf(shown, other) : null]);
  }

  close(): void {
    this.turn++;
  }
}

/** Which weights are shown, of which step of which run, beside which. */
export function sourceKey({ run, scene, state, other }: Shown): string {
  const { commit } = scene;
  const a = `${run} ${commit.writer} ${commit.n} ${readyKey(state.step, state.input, state.kind, state.layer)}`;
  if (!other) return a;
  const b = other.scene.commit;
  return `${a} | ${other.run.id} ${b.writer} ${b.n} ${other.input}`;
}

function part(scene: Scene, input: number, { state }: Shown, layer: WeightLayer): Part {
  return {
    layer,
    queries: axisOf(scene, input, queryAxis(state.kind)),
    keys: axisOf(scene, input, keyAxis(state.kind)),
  };
}

/** The weights of one side's layer; an error in words where there are none. */
async function one({ scene, state, store }: Pick<Shown, "scene" | "state" | "store">): Promise<WeightLayer> {
  const entry = findLayer(scene, state.input, state.kind, state.layer);
  const reading = entry && store.weights(scene, entry);
  if (!reading) throw why(scene, state, "weights");
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof NotRecordedError)) throw error;
    throw new NotRecordedError(`The weights of step ${scene.commit.step} are not in ${store.carrier}.`, error.remedy);
  }
}

function oneOf({ state }: Shown, { scene, store, input }: Compared): Promise<WeightLayer> {
  return one({ scene, store, state: { ...state, input, step: scene.commit.step } });
}
