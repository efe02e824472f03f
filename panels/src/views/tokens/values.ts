// Weights of the chosen query token, and what they let through: each times the length of what its key's value adds.
import { chosenToken, explainedHead } from "../../session/chosen";
import { axisName, keyAxis, queryAxis } from "../../session/kinds";
import { axisOf, findLayer } from "../../session/scene";
import type { Session } from "../../session/session";
import { headRows } from "../../session/weights";
import { chooseOption, Switch } from "../../ui/controls";
import type { Ink } from "../../draw/ink";
import { type Part, paragraph } from "../../ui/paper";
import { labelText } from "../../ui/tokens";
import type { NumberTable } from "../view";
import { why } from "../why";
import { type Names, nameOf, namesOf } from "./names";
import { inOrder, orderOf } from "./order";
import { type Format, formatOf } from "./precise";
import { type Context, Section } from "./section";
import { bySize } from "./shade";
import { type Column, RowTable } from "./table";
import { TokenText } from "./text";

/** One query row: weights, NaN where not stored; norms of what values add, and both multiplied, where recorded. */
export interface Weighted {
  head: number;
  query: number;
  weights: Float32Array;
  norms: Float32Array | null;
  products: Float32Array | null;
}

/** Kobayashi et al. 2020: how long the vector is that each key adds to the query's output. */
export function productsOf(weights: Float32Array, norms: Float32Array | null): Float32Array | null {
  return norms && weights.map((weight, key) => weight * norms[key]!);
}

export class ValuesSection extends Section {
  private readonly order: Switch;
  private readonly text: TokenText;
  private readonly rows: RowTable;
  private found: Weighted | null = null;
  private keys: Names | null = null;
  private queryName = "";
  private sorted: number[] = [];

  constructor(private readonly session: Session) {
    super("values", "weights × values", "layer");
    this.order = new Switch("by size", "rows: the greatest first", (on) =>
      chooseOption(session, "tokens.sort", on ? "size" : "order", "order"),
    );
    this.controls.append(this.order.root);
    this.text = new TokenText("key tokens, shaded by what the query takes from them", (at) => this.pick(at));
    this.rows = new RowTable("weights of the chosen query token", (row) => this.pick(this.sorted[row]!));
  }

  /** Keys that are queries as well can be chosen as such. */
  private pick(key: number): void {
    const { kind } = this.context!.shown.state;
    if (queryAxis(kind) === keyAxis(kind)) this.session.set({ query: key });
  }

  protected override get sides(): { query: boolean; key: boolean; first: "query" | "key" } {
    const { kind } = this.context!.shown.state;
    return { query: queryAxis(kind) === keyAxis(kind), key: true, first: "key" };
  }

  protected draw({ shown, data }: Context): void {
    const { state, scene, dark } = shown;
    const { weights: layer, vectors } = data.layer!.value!;
    const entry = findLayer(scene, state.input, state.kind, state.layer);
    this.controls.hidden = true;
    this.found = null;
    if (!entry || !layer) throw why(scene, state, "weights");
    const head = explainedHead(state, scene);
    const rows = headRows(layer, head);
    if (!rows) throw why(scene, state, "weights");
    this.controls.hidden = false;
    const query = chosenToken(state.query, layer.queries, axisOf(scene, state.input, queryAxis(state.kind)));
    const weights = new Float32Array(layer.keys).fill(layer.stored === "sparse" ? Number.NaN : 0);
    rows.row(query, 0, layer.keys, 0, (key, weight) => {
      weights[key] = weight;
    });
    const norms = vectors?.q.find((one) => one.head === head)?.norms ?? null;
    const products = productsOf(weights, norms);
    const found: Weighted = { head, query, weights, norms, products };
    this.found = found;
    const keys = namesOf(scene, state.input, keyAxis(state.kind), layer.keys);
    this.keys = keys;
    const queries = namesOf(scene, state.input, queryAxis(state.kind), layer.queries);
    const label = queries.labels?.[query];
    this.queryName = label === undefined ? nameOf(queries, query, 24) : labelText(label);
    this.put(this.text.root, this.note, this.rows.root);
    this.note.textContent = this.words(layer.stored === "sparse");
    this.order.update(orderOf(state) === "size");
    const shaded = products ?? weights;
    const shade = bySize(shaded);
    const [weightText, productText] = [formatOf(weights), formatOf(products ?? [])];
    const say = (at: number): string =>
      Number.isNaN(weights[at]!)
        ? "weight not stored"
        : `weight ${weightText(weights[at]!)}${products ? `, times the norm ${productText(products[at]!)}` : ""}`;
    const same = queries === keys;
    this.text.show({ names: keys, shade, say, chosen: same ? query : null, dark }, this.width);
    this.sorted = inOrder(shaded, orderOf(state));
    this.fill(keys, found, same);
    this.window();
  }

  private words(sparse: boolean): string {
    const { state, scene } = this.context!.shown;
    const { head, query, norms } = this.found!;
    const axis = queryAxis(state.kind) === "self" ? "" : `${axisName(queryAxis(state.kind))} `;
    const reasons = scene.commit.missing
      .filter((one) => one.what === "value norms" && one.kind === state.kind)
      .map((one) => one.reason);
    const lacks =
      reasons.length > 0
        ? `How long values are was not recorded: ${reasons[0]}.`
        : 'How long values are was not recorded: record=("attention", "vectors", "values").';
    return [
      `Layer ${state.layer} head ${head}, ${axis}query ${this.queryName} (${query}):`,
      norms
        ? "weight × ‖v·W‖ is how long the vector is that a key adds to the output (Kobayashi et al. 2020); blue by that."
        : `weights alone. ${lacks}`,
      sparse ? "Only the greatest weights of the row are stored." : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  private fill(names: Names, { weights, norms, products, query }: Weighted, same: boolean): void {
    const [weightText, normText, productText] = [weights, norms ?? [], products ?? []].map((one) => formatOf(one)) as [
      Format,
      Format,
      Format,
    ];
    const most = weights.reduce((sum, value) => Math.max(sum, value || 0), 0);
    const longest = products?.reduce((sum, value) => Math.max(sum, value || 0), 0) ?? 0;
    const columns: Column[] = [
      { name: "#", title: "position", px: 34, right: true },
      { name: "key", fr: 1.2 },
      { name: "weight", fr: 1 },
      { name: "", title: "the weight as a number", px: 46, right: true },
    ];
    if (products)
      columns.push(
        { name: "‖v·W‖", px: 46, right: true, title: "length of what the key's value becomes in the output" },
        { name: "weight × ‖v·W‖", fr: 1, title: "how much of the output the key makes" },
        { name: "", title: "weight times norm as a number", px: 46, right: true },
      );
    this.rows.show({
      columns,
      count: this.sorted.length,
      cells: (row) => {
        const at = this.sorted[row]!;
        const weight = weights[at]!;
        const title = Number.isNaN(weight) ? "not stored; it need not be 0" : String(weight);
        const first = [{ text: String(at) }, { token: at }, { bar: weight, most }, { text: weightText(weight), title }];
        if (!norms || !products) return first;
        const product = products[at]!;
        return [
          ...first,
          { text: normText(norms[at]!) },
          { bar: product, most: longest },
          { text: productText(product) },
        ];
      },
      names,
      chosen: same ? this.sorted.indexOf(query) : null,
    });
  }

  window(): void {
    this.rows.window(...this.sight(this.rows.root));
  }

  table(): NumberTable {
    const { weights, norms, products } = this.found!;
    const { tokens } = this.keys!;
    const sorted = [...this.sorted];
    return {
      columns: ["key", "token", "weight", ...(norms ? ["norm", "weight x norm"] : [])],
      count: sorted.length,
      *rows() {
        for (const at of sorted)
          yield [at, tokens[at] ?? "", weights[at]!, ...(norms ? [norms[at]!, products![at]!] : [])];
      },
    };
  }

  caption(): string {
    const { state } = this.context!.shown;
    const { head, query, norms } = this.found!;
    const what = norms ? "Weights times the norms of values" : "Weights";
    return `${what}, layer ${state.layer} head ${head}, query ${this.queryName} (${query}), step ${state.step}, input ${state.input}`;
  }

  python(): string[] {
    const { state, scene } = this.context!.shown;
    const { head, query, norms } = this.found!;
    const at = findLayer(scene, state.input, state.kind, state.layer)?.heads.indexOf(head) ?? head;
    const layer = `${JSON.stringify(state.kind)}, ${state.layer}`;
    const { weights } = this.context!.data.layer!.value!;
    if (weights?.stored === "sparse") return [`keys, found = step.weights(${layer}).row(${at}, ${query})`];
    return [`found = step.${norms ? "value_weighted" : "weights"}(${layer})[${at}, ${query}]`];
  }

  protected parts(ink: Ink, width: number): Part[] {
    const said = paragraph(this.found?.norms ? "shaded by weight × ‖v·W‖" : "shaded by weight", width, ink.dim, 11);
    return [said, this.text.picture(ink, width), this.rows.picture(ink, width)];
  }

  inspect(): unknown {
    return this.drawn ? this.found : null;
  }
}
