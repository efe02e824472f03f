// The neuron view: for one head and one query token, how q and k make the weights.
import { NotRecordedError } from "../../decode/errors";
import type { KeyVectors, QueryVectors, VectorLayer, WeightLayer } from "../../decode/types";
import { fullScale } from "../../draw/strips";
import { type Explained, explain, explainSparse } from "../../session/explain";
import { keyAxis, queryAxis } from "../../session/kinds";
import { axisOf, findLayer, labelsOf, rowOf, tokensOf } from "../../session/scene";
import type { Session } from "../../session/session";
import { firstHead } from "../../session/state";
import { headRows } from "../../session/weights";
import { fillSelect, h } from "../../ui/dom";
import { isByteLevel, tokenText, tokenTitle } from "../../ui/tokens";
import { Frame, readyKey, type Shown, type View, type ViewType } from "../view";
import { why } from "../why";
import { NeuronTable } from "./table";

interface Drawn {
  head: number;
  query: number;
  group: number;
  explained: Explained;
}

class NeuronView implements View {
  readonly root: HTMLElement;
  private readonly frame = new Frame("neuron", "neuron view");
  private readonly table = new NeuronTable();
  private readonly head = h("select", { "aria-label": "head of the neuron view" });
  private readonly position = h("input", {
    type: "number",
    min: 0,
    class: "position",
    "aria-label": "query token of the neuron view",
  });
  private readonly picker: HTMLElement;
  private readonly note = h("p", { class: "foot-note" });
  private readonly observer: ResizeObserver;
  private shown: Shown | null = null;
  private vectors: VectorLayer | null = null;
  private weights: WeightLayer | null = null;
  private loaded = "";
  private key = "";
  private drawn: Drawn | null = null;
  private turn = 0;
  private alone: number | null = null;

  constructor(session: Session) {
    this.root = this.frame.root;
    this.picker = h(
      "div",
      { class: "neuron-pick" },
      h("label", {}, "head ", this.head),
      h("label", {}, "query ", this.position),
    );
    this.head.addEventListener("change", () => {
      this.alone = Number(this.head.value);
      if (this.shown) this.update(this.shown);
    });
    this.position.addEventListener("change", () => {
      const value = Number(this.position.value);
      if (Number.isInteger(value) && value >= 0) session.set({ query: value });
    });
    let width = 0;
    this.observer = new ResizeObserver(() => {
      if (this.frame.body.clientWidth === width) return;
      width = this.frame.body.clientWidth;
      this.table.resize();
    });
    this.observer.observe(this.frame.body);
  }

  update(shown: Shown): void {
    this.shown = shown;
    const { state, scene, session } = shown;
    const key = readyKey(state.step, state.input, state.kind, state.layer);
    const data = `${session.run?.id} ${scene.commit.writer} ${scene.commit.n} ${key}`;
    if (data === this.loaded) {
      if (this.vectors) this.render(key);
      return;
    }
    this.frame.pending();
    this.loaded = data;
    this.vectors = null;
    this.drawn = null;
    this.alone = null;
    const turn = ++this.turn;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    const reading = entry && session.store?.vectors(scene, entry);
    this.frame.title.replaceChildren(
      h("b", {}, "Neuron"),
      h("span", { class: "dim" }, entry ? `layer ${state.layer}` : ""),
    );
    if (!entry || !reading) {
      this.frame.tools.replaceChildren();
      this.frame.say(why(scene, state, "vectors"), key);
      return;
    }
    Promise.all([
      reading,
      // Without weights the bias cannot be told, but q and k still can.
      session.store?.weights(scene, entry)?.catch(() => null) ?? null,
    ]).then(
      ([vectors, weights]) => {
        if (turn !== this.turn) return;
        this.vectors = vectors;
        this.weights = weights;
        this.key = "";
        this.render(key);
      },
      (error) => {
        if (turn !== this.turn) return;
        this.loaded = "";
        this.frame.tools.replaceChildren();
        const said =
          error instanceof NotRecordedError
            ? new NotRecordedError(`Queries and keys of step ${state.step} are not in this file.`, error.remedy)
            : error;
        this.frame.say(said, key);
      },
    );
  }

  private pick(): { head: number; query: QueryVectors; keys: KeyVectors; row: number; group: number } | null {
    const { state, scene } = this.shown!;
    const wanted =
      this.alone !== null && (!state.heads || state.heads.includes(this.alone)) ? this.alone : firstHead(state, scene);
    const query = this.vectors!.q.find((one) => one.head === wanted) ?? this.vectors!.q[0];
    if (!query) return null;
    const row = rowOf(scene, state.input, state.kind, state.layer, query.head);
    const group = row >= 0 ? scene.index.group[row]! : query.head;
    const keys = this.vectors!.k.find((one) => one.head === group);
    return keys ? { head: query.head, query, keys, row, group } : null;
  }

  private render(ready: string): void {
    const { state, scene, dark } = this.shown!;
    const picked = this.pick();
    if (!picked) {
      this.frame.say(why(scene, state, "vectors"), ready);
      return;
    }
    const { head, query, keys, row, group } = picked;
    const queryNames = tokensOf(scene, state.input, queryAxis(state.kind), query.tokens);
    const keyNames = tokensOf(scene, state.input, keyAxis(state.kind), keys.tokens);
    const queryLabels = labelsOf(scene, state.input, queryAxis(state.kind));
    const special = axisOf(scene, state.input, queryAxis(state.kind))?.special ?? null;
    const i = state.query !== null && state.query < query.tokens ? state.query : usual(query.tokens, special);
    const key = `${this.loaded} ${head} ${i} ${dark}`;
    const { body } = this.frame;
    if (key === this.key && this.table.root.parentElement === body) {
      this.frame.ready(ready);
      return;
    }
    this.frame.pending();
    this.key = key;
    const byteLevel = isByteLevel(queryNames) || isByteLevel(keyNames);
    this.frame.title.replaceChildren(
      h("b", {}, "Neuron"),
      h("span", { class: "dim" }, `layer ${state.layer} head ${head}, query `),
      h(
        "b",
        { class: "title-token", title: tokenTitle(queryNames[i]!, i, undefined, queryLabels?.[i]) },
        tokenText(queryNames[i]!, byteLevel, queryLabels?.[i]),
      ),
      h("span", { class: "dim" }, `(${i})`),
    );
    const options = this.vectors!.q.map((one) => ({ value: String(one.head), name: String(one.head) }));
    fillSelect(this.head, options, String(head));
    this.position.max = String(query.tokens - 1);
    this.position.value = String(i);
    const unexplained = row >= 0 ? scene.index.explained[row]! : Number.NaN;
    const explained = this.explain(picked, i, Number.isNaN(unexplained) ? null : unexplained);
    this.drawn = { head, query: i, group, explained };
    if (this.table.root.parentElement !== body) body.replaceChildren(this.picker, this.table.root, this.note);
    this.table.show({
      i,
      query,
      keys,
      queryNames,
      keyNames,
      queryLabels,
      keyLabels: labelsOf(scene, state.input, keyAxis(state.kind)),
      byteLevel,
      explained,
      dark,
      scale: fullScale(keys.values),
    });
    this.note.textContent = this.words(head, group, query, explained, unexplained);
    this.frame.ready(ready);
  }

  private explain(
    picked: { head: number; query: QueryVectors; keys: KeyVectors },
    i: number,
    off: number | null,
  ): Explained {
    const { head, query, keys } = picked;
    const rows = this.weights && headRows(this.weights, head);
    if (rows && this.weights?.stored === "sparse") return explainSparse(query, keys, i, rows, off);
    const all = rows?.arrays();
    const recorded = all instanceof Float32Array ? all.subarray(i * keys.tokens, (i + 1) * keys.tokens) : null;
    return explain(query, keys, i, recorded, off);
  }

  private words(head: number, group: number, query: QueryVectors, explained: Explained, unexplained: number): string {
    const heads = this.vectors!.q.length;
    const groups = this.vectors!.k.length;
    return [
      heads !== groups ? `Query head ${head} reads key group ${group}.` : "",
      explained.stored ? "Of the weights only the greatest of each row are stored." : "",
      explained.stored && !explained.softmax && !explained.bias
        ? "Which keys are masked is not recorded, so that their softmax cannot be told."
        : "",
      this.vectors!.precision === "i8" ? "q and k are stored as 8-bit numbers with one scale per token." : "",
      query.rotary ? "q and k carry their rotary position." : "",
      explained.bias
        ? `q·k alone is off by up to ${unexplained.toFixed(3)}; bias is the rest: log w − log softmax(q·k)${query.softcap ? `, soft-cap ${query.softcap} included` : ""}.`
        : "",
      query.sink !== null ? "An attention sink outside the tokens takes part of the sum." : "",
      query.window !== null ? `Keys ${query.window} or more tokens away are masked.` : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  inspect(): unknown {
    const { drawn } = this;
    return {
      head: drawn?.head ?? null,
      query: drawn?.query ?? null,
      group: drawn?.group ?? null,
      softmax: drawn?.explained.softmax ?? null,
      qk: drawn?.explained.qk ?? null,
      bias: drawn?.explained.bias ?? null,
      stored: drawn?.explained.stored ?? null,
      precision: this.vectors?.precision ?? null,
      open: drawn?.explained.open ?? null,
    };
  }

  destroy(): void {
    this.turn++;
    this.observer.disconnect();
  }
}

/** The query shown first: the last token that the tokenizer did not add. */
function usual(count: number, special: boolean[] | null): number {
  for (let i = count - 1; i >= 0; i--) if (!special?.[i]) return i;
  return Math.max(0, count - 1);
}

export const neuronView: ViewType = {
  name: "neuron",
  title: "neuron",
  area: "right",
  order: 2,
  make: (session) => new NeuronView(session),
};
