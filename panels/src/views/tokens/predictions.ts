// What the model predicts: the top answers of each position or of the whole input, and the loss of each token.
import type { Loss, Prediction } from "../../decode/types";
import type { Session } from "../../session/session";
import { Choice } from "../../ui/controls";
import type { Ink } from "../../draw/ink";
import { type Part, paragraph } from "../../ui/paper";
import { plain } from "../../ui/tokens";
import type { NumberTable } from "../view";
import { absent } from "./absent";
import { withoutMark } from "./lines";
import { type Names, nameOf } from "./names";
import { formatOf } from "./precise";
import { type Context, Section } from "./section";
import { bySize } from "./shade";
import { type Cell, type Column, RowTable } from "./table";
import { TokenText } from "./text";

const TASKS: Record<string, { name: string; of: string }> = {
  next: { name: "next token", of: "the token after each" },
  masked: { name: "token here", of: "the token that stands there, or under the mask" },
  class: { name: "class", of: "the input's class" },
  labels: { name: "labels", of: "the input's labels, any number of them" },
  tokens: { name: "token labels", of: "the label of each token" },
  start: { name: "answer's start", of: "where the answer starts" },
  end: { name: "answer's end", of: "where the answer ends" },
};

const taskName = (task: string): string => TASKS[task]?.name ?? task;

export interface Answer {
  label: string;
  id: number;
  probability: number;
}

/** Probabilities with three digits after the point. */
const chance = formatOf([0.5]);

/** The answers of one row, most probable first. */
export function answersOf(one: Prediction, row: number): Answer[] {
  return Array.from({ length: one.top }, (_, n) => {
    const at = row * one.top + n;
    return { label: one.labels[at] ?? "", id: one.ids[at]!, probability: one.probabilities[at]! };
  });
}

/** Whether it answers for each token; else it answers once, for the whole input. */
export const perToken = (one: Prediction): boolean =>
  one.rows === one.tokens && !["class", "labels", "start", "end"].includes(one.name);

/** The id that would have been right at a token, where the input itself says it. */
export function rightId(task: string, ids: Int32Array | null, at: number): number | null {
  if (task === "next") return ids?.[at + 1] ?? null;
  return task === "masked" ? (ids?.[at] ?? null) : null;
}

export class PredictionsSection extends Section {
  private readonly answer: Choice;
  private readonly text: TokenText;
  private readonly top: RowTable;
  private readonly rows: RowTable;
  private found: Prediction | null = null;
  private loss: Loss | null = null;
  private number = 0;

  constructor(session: Session) {
    super("predictions", "predictions", "outputs");
    this.answer = new Choice("of", "what is predicted", (value) => session.choose({ "tokens.answer": value }));
    this.controls.append(this.answer.root);
    this.text = new TokenText("tokens, shaded by what was predicted", (at) => this.context?.choose(at));
    this.top = new RowTable("top answers");
    this.top.root.classList.add("is-apart");
    this.rows = new RowTable("predictions and losses of all tokens", (row) => this.context?.choose(row));
  }

  protected draw(context: Context): void {
    const { shown, axis, data } = context;
    const { state, scene } = shown;
    const all = data.outputs!.value!.filter((one) => one.input === state.input && one.role !== "saliency");
    const here = all.filter((one) => one.axis === axis);
    const answers = here.filter((one): one is Prediction => one.role === "prediction");
    const losses = here.filter((one): one is Loss => one.role === "loss");
    this.controls.hidden = answers.length < 2;
    if (here.length === 0) throw absent(scene, "predictions", axis, [...new Set(all.map((one) => one.axis))]);
    const found = answers.find((one) => one.name === state.options["tokens.answer"]) ?? answers[0] ?? null;
    this.found = found;
    this.number = found ? answers.indexOf(found) : 0;
    this.loss = losses.find((one) => one.name === found?.name) ?? losses[0] ?? null;
    this.answer.update(
      answers.map(({ name }) => ({ value: name, name: taskName(name) })),
      found?.name ?? "",
    );
    if (found && !perToken(found)) this.whole(found, context);
    else this.each(context);
    this.window();
  }

  /** One answer for the whole input; its tokens still show their losses, where there are any. */
  private whole(found: Prediction, context: Context): void {
    const parts: Node[] = [this.note, this.top.root];
    this.note.textContent = `${said(found)} of the whole input.`;
    this.answers(found, 0, context, null);
    if (this.loss) {
      parts.push(this.text.root);
      this.shade(context);
    }
    this.put(...parts);
  }

  private each(context: Context): void {
    const { names, token } = context;
    const { found, loss } = this;
    const parts: Node[] = [this.text.root, this.note];
    if (found) parts.push(this.top.root);
    parts.push(this.rows.root);
    this.put(...parts);
    this.shade(context);
    const by = loss ? "loss in nats" : "probability of the first answer";
    const at = found ? ` Top answers at ${nameOf(names, token, 24)} (${token}), then of every token.` : "";
    this.note.textContent = `${found ? said(found) : "Losses"}; shaded by ${by}.${at}`;
    if (found) this.answers(found, token, context, rightId(found.name, names.ids, token));
    this.list(context);
  }

  private shade({ names, token, shown }: Context): void {
    const { found, loss } = this;
    const values = loss?.values ?? Float32Array.from(names.tokens, (_, at) => found!.probabilities[at * found!.top]!);
    const text = formatOf(loss?.values ?? []);
    const say = (at: number): string => {
      const best = found && perToken(found) ? answersOf(found, at)[0] : undefined;
      return [
        loss ? (Number.isNaN(loss.values[at]!) ? "no loss" : `loss ${text(loss.values[at]!)}`) : "",
        best ? `predicts ${shownLabel(best.label, names, found!)} ${chance(best.probability)}` : "",
      ]
        .filter(Boolean)
        .join(", ");
    };
    this.text.show({ names, shade: bySize(values), say, chosen: token, dark: shown.dark }, this.width);
  }

  private answers(found: Prediction, row: number, { names }: Context, right: number | null): void {
    const list = answersOf(found, row);
    const position = found.name === "start" || found.name === "end";
    this.top.show({
      columns: [
        { name: "answer", fr: 1 },
        { name: "probability", fr: 1.6 },
        { name: "", title: "the probability as a number", px: 58, right: true },
        { name: "", title: "whether it was right", px: 84 },
      ],
      count: list.length,
      cells: (n): Cell[] => {
        const { label, id, probability } = list[n]!;
        return [
          position ? { token: id } : { text: shownLabel(label, names, found), title: label },
          { bar: probability, most: 1 },
          { text: chance(probability) },
          {
            text: id === right ? (found.name === "next" ? "came next" : "stands there") : position ? `token ${id}` : "",
          },
        ];
      },
      names,
      chosen: null,
    });
  }

  private list({ names, token }: Context): void {
    const { found, loss } = this;
    const columns: Column[] = [
      { name: "#", title: "position", px: 34, right: true },
      { name: "token", fr: 1 },
    ];
    if (found) columns.push({ name: "first answers", fr: 2 });
    const lossText = formatOf(loss?.values ?? []);
    const most = loss ? Array.from(loss.values).reduce((sum, one) => Math.max(sum, one || 0), 0) : 0;
    if (loss) columns.push({ name: "loss", fr: 0.6 }, { name: "", title: "the loss as a number", px: 46, right: true });
    this.rows.show({
      columns,
      count: names.tokens.length,
      cells: (at): Cell[] => {
        const cells: Cell[] = [{ text: String(at) }, { token: at }];
        if (found) {
          const text = answersOf(found, at)
            .slice(0, 3)
            // Isolated, so that a label written from the right does not change places with its number.
            .map((one) => `\u2068${shownLabel(one.label, names, found)}\u2069 ${chance(one.probability)}`)
            .join("  ·  ");
          cells.push({ text, title: text });
        }
        if (loss) cells.push({ bar: loss.values[at]!, most }, { text: lossText(loss.values[at]!) });
        return cells;
      },
      names,
      chosen: token,
    });
  }

  window(): void {
    for (const one of [this.top, this.rows]) if (one.root.isConnected) one.window(...this.sight(one.root));
  }

  table(): NumberTable {
    const { names } = this.context!;
    const { found, loss } = this;
    const top = found?.top ?? 0;
    const answers = Array.from({ length: top }, (_, n) => [`answer ${n + 1}`, `probability ${n + 1}`]).flat();
    const cells = (row: number): (string | number)[] =>
      found ? answersOf(found, row).flatMap(({ label, probability }) => [label, probability]) : [];
    if (found && !perToken(found)) {
      return {
        columns: answers,
        count: 1,
        *rows() {
          yield cells(0);
        },
      };
    }
    const { tokens } = names;
    return {
      columns: ["position", "token", ...answers, ...(loss ? ["loss"] : [])],
      count: tokens.length,
      *rows() {
        for (let at = 0; at < tokens.length; at++)
          yield [at, tokens[at]!, ...cells(at), ...(loss ? [loss.values[at]!] : [])];
      },
    };
  }

  caption(): string {
    const { step, input } = this.context!.shown.state;
    return `${this.found ? said(this.found) : "Losses"}, step ${step}, input ${input}`;
  }

  python(): string[] {
    const { axis, token } = this.context!;
    if (!this.found) return [`found = step.losses(${JSON.stringify(axis)})`];
    const row = perToken(this.found) ? token : 0;
    return [`found = list(step.predictions(${JSON.stringify(axis)})[${this.number}].top(${row}))`];
  }

  protected parts(ink: Ink, width: number): Part[] {
    const note = paragraph(this.note.textContent ?? "", width, ink.dim, 11);
    const parts: Part[] = [note];
    for (const one of [this.text, this.top, this.rows]) if (one.root.isConnected) parts.push(one.picture(ink, width));
    return parts;
  }

  inspect(): unknown {
    if (!this.drawn) return null;
    const { found, loss } = this;
    return {
      task: found?.name ?? null,
      labels: found?.labels ?? null,
      probabilities: found?.probabilities ?? null,
      top: found?.top ?? null,
      loss: loss?.values ?? null,
    };
  }
}

const said = (found: Prediction): string => {
  const of = TASKS[found.name]?.of ?? found.name;
  return `Predicted: ${of}`;
};

/** An answer as it is read: tokens lose their invisible marks, labels of classes stay as they are. */
function shownLabel(label: string, names: Names, { name }: Prediction): string {
  const tokens = name === "next" || name === "masked";
  return plain(tokens ? withoutMark(label, names.marking) : label, tokens && names.byteLevel, 40);
}
