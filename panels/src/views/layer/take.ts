// What can be taken away of a view that draws weights of one layer: its numbers, and Python that gets them.
import { keyAxis, queryAxis } from "../../session/kinds";
import { axisOf, type Scene } from "../../session/scene";
import { type Item, positionOf } from "../../session/shape/items";
import { MEAN, type Shaped } from "../../session/shape/shape";
import { wordsOf } from "../../session/words";
import { type Ink, inkOf } from "../../draw/ink";
import { type Part, sheet } from "../../ui/paper";
import { shapingWords, sidesName, sidesWords } from "../caption";
import type { NumberTable, Shown, Take } from "../view";
import { leastOf } from "./controls";
import { layerPython, type Words } from "./python";
import { type LayerReader, wantedOf } from "./reader";

export function takeLayer(
  view: string,
  shown: Shown,
  reader: LayerReader,
  shaped: Shaped,
  least: number,
  picture: (ink: Ink) => Part & { width: number },
  root: Element,
): Take {
  const { state, other } = shown;
  const wanted = wantedOf(shown);
  const all = wanted.heads.filter((one) => !shaped.absent.includes(one)).join(", ");
  const heads = wanted.mean && !shaped.sparse ? `mean of heads ${all}` : `heads ${all}`;
  const done = shaped.sparse ? { ...wanted, words: false, normalise: false } : wanted;
  const title = `Attention of ${state.kind}, layer ${state.layer}, ${heads}${shapingWords(done)}, ${sidesWords(shown)}`;
  return {
    name: `${view}-${sidesName(shown)}-${state.kind.replaceAll(">", "-")}-layer${state.layer}`,
    title,
    svg: () => {
      const ink = inkOf(root);
      const part = picture(ink);
      return sheet(title, part.width, [part], ink);
    },
    table: () => weightTable(shaped, least),
    python: () => {
      const words = wanted.words && !shaped.sparse;
      const a = words ? wordPlaces(shown.scene, state.input, state.kind) : null;
      const b = words && other ? wordPlaces(other.scene, other.input, state.kind) : null;
      return layerPython(shown, reader, shaped, wanted, a && { a, b }, leastOf(shown));
    },
  };
}

function wordPlaces(scene: Scene, input: number, kind: string): Words {
  const places = (name: string): Map<number, number> => {
    const axis = axisOf(scene, input, name);
    return new Map((axis ? wordsOf(axis) : []).map((word, n) => [word.start, n]));
  };
  return { queries: places(queryAxis(kind)), keys: places(keyAxis(kind)) };
}

const place = (item: Item): (string | number)[] => [positionOf(item), item.text];

/** Every weight that is known and drawn, one row each. */
function weightTable({ heads, queries, keys, signed }: Shaped, least: number): NumberTable {
  function* rows(): Iterable<(string | number)[]> {
    for (const one of heads) {
      for (let i = 0; i < queries.length; i++) {
        const found: (string | number)[][] = [];
        one.row(i, 0, keys.length, least, (j, weight) => {
          const head = one.head === MEAN ? "mean" : one.head;
          found.push([head, ...place(queries[i]!), ...place(keys[j]!), weight]);
        });
        yield* found;
      }
    }
  }
  let count = 0;
  for (const one of heads) for (let i = 0; i < queries.length; i++) one.row(i, 0, keys.length, least, () => count++);
  const value = signed ? "difference" : "weight";
  return { columns: ["head", "query", "query token", "key", "key token", value], rows, count };
}
