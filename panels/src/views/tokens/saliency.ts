// Saliency: how much each token had to do with one number that the model gave, by one method.
import type { Saliency } from "../../decode/types";
import { Choice, chooseOption, Switch } from "../../ui/controls";
import { percent } from "../../ui/dom";
import type { Ink } from "../../draw/ink";
import { type Part, paragraph } from "../../ui/paper";
import { plain } from "../../ui/tokens";
import type { Session } from "../../session/session";
import type { NumberTable } from "../view";
import { absent } from "./absent";
import { inOrder, orderOf } from "./order";
import { type Context, Section } from "./section";
import { formatOf } from "./precise";
import { bySize } from "./shade";
import { RowTable } from "./table";
import { TokenText } from "./text";

const METHODS: Record<string, { name: string; signed: boolean; says: string }> = {
  gradient: { name: "gradient", signed: false, says: "length of the gradient, without a sign" },
  gradient_x_input: { name: "gradient × input", signed: true, says: "blue raises it, orange lowers it" },
  integrated_gradients: { name: "integrated gradients", signed: true, says: "blue raises it, orange lowers it" },
};

export const methodName = (method: string): string => METHODS[method]?.name ?? method.replaceAll("_", " ");

/** What the values are of, in words: target, points of the path, and the error that was left. */
export function targetWords({ target, steps, error }: Saliency): string {
  const path = [
    steps === null ? "" : `${steps} points of the path`,
    error === null ? "" : `sum off by ${percent(error)}`,
  ].filter(Boolean);
  return `Of the ${plain(target.replaceAll(" ", "\u2003"), false, 300).replaceAll("\u2003", " ")}${path.length > 0 ? ` (${path.join(", ")})` : ""}`;
}

export class SaliencySection extends Section {
  private readonly method: Choice;
  private readonly order: Switch;
  private readonly text: TokenText;
  private readonly rows: RowTable;
  private found: Saliency | null = null;
  private sorted: number[] = [];

  constructor(session: Session) {
    super("saliency", "saliency", "outputs");
    this.method = new Choice("by", "saliency method", (value) => session.choose({ "tokens.method": value }));
    this.order = new Switch("by size", "rows: the greatest first", (on) =>
      chooseOption(session, "tokens.sort", on ? "size" : "order", "order"),
    );
    this.controls.append(this.method.root, this.order.root);
    this.text = new TokenText("tokens, shaded by saliency", (at) => this.context?.choose(at));
    this.rows = new RowTable("saliency of each token", (row) => this.context?.choose(this.sorted[row]!));
  }

  protected draw({ shown, axis, names, token, data }: Context): void {
    const { state, scene, dark } = shown;
    const all = data.outputs!.value!.filter(
      (one): one is Saliency => one.role === "saliency" && one.input === state.input,
    );
    const here = all.filter((one) => one.axis === axis);
    this.controls.hidden = here.length === 0;
    if (here.length === 0) {
      this.found = null;
      throw absent(scene, "saliency", axis, [...new Set(all.map((one) => one.axis))]);
    }
    const found = here.find((one) => one.name === state.options["tokens.method"]) ?? here[here.length - 1]!;
    this.found = found;
    this.method.update(
      here.map(({ name }) => ({ value: name, name: methodName(name) })),
      found.name,
    );
    const order = orderOf(state);
    this.order.update(order === "size");
    this.put(this.text.root, this.note, this.rows.root);
    const signed = METHODS[found.name]?.signed ?? found.values.some((value) => value < 0);
    const says = METHODS[found.name]?.says ?? "";
    this.note.textContent = `${targetWords(found)}; ${says || "shaded by size"}.`;
    const shade = bySize(found.values);
    const text = formatOf(found.values);
    const say = (at: number): string => `${methodName(found.name)} ${text(found.values[at]!)}`;
    this.text.show({ names, shade, say, chosen: token, dark }, this.width);
    this.sorted = inOrder(found.values, order);
    const most = found.values.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0);
    this.rows.show({
      columns: [
        { name: "#", title: "position", px: 34, right: true },
        { name: "token", fr: 1 },
        { name: signed ? "lowers | raises" : "saliency", fr: 1.6, title: says },
        { name: "value", px: 58, right: true },
      ],
      count: this.sorted.length,
      cells: (row) => {
        const at = this.sorted[row]!;
        const value = found.values[at]!;
        return [
          { text: String(at) },
          { token: at },
          { bar: value, most, signed },
          { text: text(value), title: String(value) },
        ];
      },
      names,
      chosen: this.sorted.indexOf(token),
    });
    this.window();
  }

  window(): void {
    this.rows.window(...this.sight(this.rows.root));
  }

  table(): NumberTable {
    const { names } = this.context!;
    const found = this.found!;
    const sorted = [...this.sorted];
    return {
      columns: ["position", "token", found.name],
      count: sorted.length,
      *rows() {
        for (const at of sorted) yield [at, names.tokens[at] ?? "", found.values[at]!];
      },
    };
  }

  caption(): string {
    const { state } = this.context!.shown;
    return `Saliency by ${methodName(this.found?.name ?? "")}, step ${state.step}, input ${state.input}`;
  }

  python(): string[] {
    const names = `${JSON.stringify(this.found?.name)}, ${JSON.stringify(this.context!.axis)}`;
    return [`found = step.saliency(${names}).values`];
  }

  protected parts(ink: Ink, width: number): Part[] {
    const said = paragraph(this.note.textContent ?? "", width, ink.dim, 11);
    return [said, this.text.picture(ink, width), this.rows.picture(ink, width)];
  }

  inspect(): unknown {
    const { found } = this;
    if (!found || !this.drawn) return null;
    const { name, values, target, position, steps, error } = found;
    return { method: name, values, target, position, steps, error, rows: this.sorted };
  }
}
