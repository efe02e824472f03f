// The views of the studio. A new one is its file and one line here.
import { headView } from "./head/view";
import { matrixView } from "./matrix/view";
import { modelView } from "./model/view";
import { neuronView } from "./neuron/view";
import { timelineView } from "./timeline/view";
import { tokensView } from "./tokens/view";
import type { ViewType } from "./view";

export const VIEWS: ViewType[] = [modelView, headView, matrixView, neuronView, timelineView, tokensView];
