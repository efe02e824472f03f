// What the model made of its inputs: predictions, losses and saliency.
import type { Columns, ListColumn } from "./arrow";
import type { Output } from "./types";
import { checkEach, checkMasses, isLength, isMetric } from "./values";

/** Rows of a role that is not known here are passed over. */
export function readOutputs(columns: Columns): Output[] {
  const input = columns.numbers("input", Uint16Array);
  const axis = columns.texts("axis");
  const role = columns.texts("role");
  const name = columns.texts("name");
  const tokens = columns.numbers("tokens", Uint32Array);
  const values = columns.list("values", Float32Array);
  const rows = columns.nullable("rows");
  const top = columns.nullable("top");
  const ids = columns.list("ids", Int32Array);
  const labels = columns.rows("labels");
  const probabilities = columns.list("probabilities", Float32Array);
  const target = columns.texts("target");
  const position = columns.nullable("position");
  const steps = columns.nullable("steps");
  const error = columns.floats("error", isLength);
  const known = new Set<string>();
  const found: Output[] = [];
  const cut = <T extends Float32Array | Int32Array>(
    list: ListColumn<T>,
    row: number,
    what: string,
    length: number,
  ): T => {
    if (list.isNull(row)) throw columns.fail(`row ${row} is a ${role[row]} without ${what}`);
    const own = list.values.subarray(list.offsets[row]!, list.offsets[row + 1]!) as T;
    if (own.length !== length) throw columns.fail(`${what} of row ${row} has ${own.length} items, not ${length}`);
    return own;
  };
  for (let row = 0; row < columns.length; row++) {
    const shared = { input: input[row]!, axis: axis[row]!, name: name[row]!, tokens: tokens[row]! };
    const key = JSON.stringify([shared.input, shared.axis, role[row], shared.name]);
    if (known.has(key)) throw columns.fail(`row ${row} holds an output that is there already`);
    known.add(key);
    if (role[row] === "prediction") {
      const shape = { rows: rows[row]!, top: top[row]! };
      const length = shape.rows * shape.top;
      if (Number.isNaN(length)) throw columns.fail(`row ${row} is a prediction without rows or top`);
      if (shape.rows !== 1 && shape.rows !== shared.tokens) {
        throw columns.fail(`row ${row} predicts ${shape.rows} times for ${shared.tokens} tokens`);
      }
      const names = labels[row] as string[] | null;
      if (names?.length !== length)
        throw columns.fail(`labels of row ${row} has ${names?.length ?? "no"} items, not ${length}`);
      const likely = cut(probabilities, row, "probabilities", length);
      checkMasses(columns, "probabilities", likely);
      const numbers = cut(ids, row, "ids", length);
      found.push({ ...shared, role: "prediction", ...shape, ids: numbers, labels: names, probabilities: likely });
    } else if (role[row] === "loss") {
      const own = cut(values, row, "values", shared.tokens);
      checkEach(columns, "loss", own, (value) => Number.isNaN(value) || isMetric(value));
      found.push({ ...shared, role: "loss", values: own });
    } else if (role[row] === "saliency") {
      const own = cut(values, row, "values", shared.tokens);
      checkEach(columns, "saliency", own, Number.isFinite);
      if (target[row] === null) throw columns.fail(`row ${row} is a saliency without target`);
      const about = { position: orNull(position[row]!), steps: orNull(steps[row]!), error: orNull(error[row]!) };
      found.push({ ...shared, role: "saliency", values: own, target: target[row]!, ...about });
    }
  }
  return found;
}

const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value);
