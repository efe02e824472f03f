"""The function tap: sees attention that models compute with torch's own functions, outside transformers' AttentionInterface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from attnlog.capture import interface, multihead
from attnlog.capture.call import Call, Sources
from attnlog.capture.layout import batch_of, laid_out, like
from attnlog.capture.lineage import Lineage, Scores, Weights, is_parameter, product_of, scaled, turned
from attnlog.capture.origins import WATCHED, Origins
from attnlog.capture.running import heads_of, running
from attnlog.errors import AttnlogError

_PRODUCTS = frozenset({"matmul", "bmm", "baddbmm", "einsum", "mm", "__matmul__"})
_SOFTMAX = frozenset({"softmax", "_softmax"})
_TIMES = {"mul": False, "mul_": False, "multiply": False, "div": True, "div_": True, "true_divide": True, "divide": True}
#: What changes the values of scores or weights and leaves them what they are, and what only lays them out otherwise.
_CHANGES = (
    "add add_ sub sub_ subtract rsub masked_fill masked_fill_ where tanh to float half bfloat16 double type type_as contiguous clone "
    "dropout clamp clamp_ clip nan_to_num nan_to_num_ maximum minimum detach max min"
)
_TURNS = "view reshape unflatten flatten transpose permute unsqueeze squeeze expand __getitem__ cat narrow split chunk pad swapaxes movedim"
_VIEWS = frozenset({"view", "reshape", "unflatten"})
_VALUES, _LAYOUT = frozenset([*_CHANGES.split(), *_TIMES]), frozenset(_TURNS.split())

Function = Callable[..., Any]


class FunctionTap(TorchFunctionMode):
    """Follows scores and weights through torch's functions while inside; reports an attention call where weights meet values.

    Every function runs as it would without: only what comes of it is looked at.
    """

    def __init__(
        self,
        seen: Callable[[Call], None],
        paths: Mapping[int, str],
        rows: Callable[[], int],
        origins: Origins | None,
        failed: Callable[[Exception], None],
        doubted: Callable[[torch.nn.Module, tuple[int, int]], None],
        told: Callable[[torch.nn.Module, str], None],
    ) -> None:
        """Prepare.

        Args:
            seen: gets every attention call.
            paths: where each module is in the model, by its id.
            rows: says how many rows the batch at hand has.
            origins: follows tokens too, for models that fold windows into the batch.
            told: gets what is attention and cannot be recorded, with the reason.
            doubted: is called where nobody can tell which weights are of which input, with the module and how many queries and keys.
            failed: gets what goes wrong in following; what `seen` raises for a user's mistake goes on.
        """
        super().__init__()
        self._seen = seen
        self._paths = paths
        self._rows = rows
        self._origins = origins
        self._failed = failed
        self._doubted = doubted
        self._told = told
        self._lineage = Lineage()

    def __enter__(self) -> Any:
        """Begin to see."""
        self._patch = multihead.tapped(self._seen, self._failed)
        self._patch.__enter__()
        return super().__enter__()  # type: ignore[no-untyped-call]  # torch leaves its modes without types

    def __exit__(self, *exc: Any) -> Any:
        """Stop, and forget what was seen."""
        try:
            return super().__exit__(*exc)  # type: ignore[no-untyped-call]  # as above
        finally:
            self._patch.__exit__(*exc)
            self._lineage.clear()
            if self._origins is not None:
                self._origins.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function of torch, and look at what it gave."""
        result = func(*args, **kwargs) if kwargs else func(*args)
        name = getattr(func, "__name__", "")
        tap = _TAPS.get(name)
        if tap is FunctionTap._through and not self._lineage and self._origins is None:
            return result  # most of what a model computes, most of the time: there is nothing to follow
        try:
            if tap is not None or (self._origins is not None and name in WATCHED):
                # What is computed here is no part of the model's graph: a checkpointed region counts what is saved in it.
                with torch.no_grad():
                    if self._origins is not None and name in WATCHED:
                        self._origins.follow(name, func, args, kwargs or {}, result)
                    if tap is not None and not interface.inside():
                        tap(self, name, func, args, kwargs or {}, result)
        except AttnlogError:
            raise  # a layer or head that is not there: the user's to mend
        except Exception as error:
            # Tensors of any shape come by here; one that we read wrongly must not end the model's forward pass.
            self._failed(error)
        return result

    def _through(self, name: str, func: Function, args: Any, kwargs: Any, result: Any) -> None:
        tensors = args[0] if name == "cat" and args and isinstance(args[0], (list, tuple)) else args
        found = self._lineage.first(tensors)
        if found is None:
            return
        place, node = found
        for out in result if isinstance(result, (tuple, list)) else (result,):
            # What a broadcast made larger is no longer scores or weights: a weighted hidden state, say.
            if isinstance(out, torch.Tensor) and (name in _LAYOUT or out.shape == tensors[place].shape):
                if name in _TIMES and isinstance(node, Scores) and len(args) > 1:
                    node = scaled(node, args[1 - place], out, inverse=_TIMES[name])
                if isinstance(node, Weights):
                    node = _after(node, name, args, out)
                elif turned(name, args, kwargs, out.ndim):
                    node = replace(node, query=node.key, key=node.query, sources=_turned(node.sources))
                if name in _VIEWS and out.ndim == 4:
                    # The model itself says which dimension is the batch and which the heads.
                    node = replace(node, lead=tuple(out.shape[:2]))
                self._lineage.put(out, node)

    def _softmax(self, name: str, func: Function, args: Any, kwargs: Any, result: Any) -> None:
        node = self._lineage.of(args[0]) if args else self._lineage.of(kwargs.get("input"))
        scores = node if isinstance(node, Scores) else None
        self._lineage.put(result, Weights(scores, lead=None if scores is None else scores.lead))

    def _product(self, name: str, func: Function, args: Any, kwargs: Any, result: Any) -> None:
        args = (*args, *(kwargs[key] for key in ("input", "batch1", "batch2", "other", "mat2") if key in kwargs))
        if len(args) < 2 or not isinstance(result, torch.Tensor):
            return
        product = product_of(name, args)
        if product is None:
            return
        operands = list(args[1:]) if name == "einsum" else list(args[-2:]) if name == "baddbmm" else list(args[:2])
        operands = list(operands[0]) if len(operands) == 1 else operands
        operands = operands[::-1] if product.swapped else operands
        left, right = self._lineage.of(operands[0]), self._lineage.of(operands[1])
        if isinstance(left, Weights):
            self._met(left, product.left, product.right.transpose(-1, -2), product.result(result))
        elif isinstance(right, Weights):
            # values · weightsᵀ: the same product, transposed.
            self._met(right, product.right, product.left.transpose(-1, -2), product.result(result).transpose(-1, -2))
        elif not is_parameter(operands[0]) and not is_parameter(operands[1]):
            scale = float(kwargs.get("alpha", 1.0)) if name == "baddbmm" else 1.0
            self._lineage.put(
                result, Scores(product.left, product.right, scale=scale, sources=self._sources(name, args, operands, product.swapped))
            )

    def _sources(self, name: str, args: Any, operands: list[Any], swapped: bool) -> tuple[torch.Tensor, torch.Tensor, int] | None:
        """Lay the tokens of a product's two sides out as the sides are."""
        if self._origins is None:
            return None
        left, right = self._origins.of(operands[0]), self._origins.of(operands[1])
        if left is None or right is None or left[1] != right[1]:
            return None
        pair = [right[0], left[0]] if swapped else [left[0], right[0]]
        numbers = [*args[:1], *pair] if name == "einsum" else pair
        product = product_of("einsum" if name == "einsum" else "matmul", numbers)
        return None if product is None else (product.left[..., :1], product.right[..., :1], left[1])

    def _met(self, node: Weights, weights: torch.Tensor, values: torch.Tensor, out: torch.Tensor) -> None:
        """Report weights that were multiplied with values: ``[*lead, queries, keys] @ [*lead, keys, width]``."""
        module = running(self._paths)
        if module is None or weights.ndim < 2 or weights.shape[-1] != values.shape[-2] or is_parameter(values):
            return
        dropped = node.before is not None and node.before.numel() == weights.numel()
        weights = node.before.reshape(weights.shape) if dropped and node.before is not None else weights
        if node.scores is None and heads_of(module) is None and not self._shared(weights):
            return  # a gate over experts, say: nothing tells that these are heads looking at tokens
        if not weights.is_floating_point() or bool((weights < 0).any() | (weights.sum(-1) > 1.01).any()):
            if node.scores is not None:
                self._told(module, "its softmax was changed before it met the values")
            return
        rows = self._rows()
        lead = batch_of(tuple(weights.shape[:-2]), rows, module, said=node.lead)
        if lead is None:
            self._doubted(module, (weights.shape[-2], weights.shape[-1]))
            return
        scores = node.scores
        query = key = sources = None
        keywords: dict[str, Any] = {}
        if scores is not None:
            q = scores.query
            for factor in scores.factors:
                q = like(q, factor)
            query, key = laid_out(q, lead), laid_out(scores.key, lead)
            if query is None or key is None or (query.shape[2], key.shape[2]) != tuple(weights.shape[-2:]):
                query = key = None
            elif scores.sources is not None:
                sources = _placed(*scores.sources, lead)
            keywords["scaling"] = scores.scale
        w, v, o = laid_out(weights, lead), laid_out(values, lead), laid_out(out, lead)
        if w is None:
            return
        seen = v is not None and o is not None and o.shape[:3] == w.shape[:3]
        self._seen(
            Call(
                module=module,
                tap="function",
                query=query,
                key=key,
                value=v if seen else None,
                output=o.transpose(1, 2) if seen and o is not None and not dropped else None,
                weights=w,
                keywords=keywords,
                sources=sources,
            )
        )

    def _shared(self, weights: torch.Tensor) -> bool:
        """Say whether several rows of each input read the same values: learned queries then, whatever their scores were made of."""
        return tuple(weights.shape[:-2]) == (self._rows(),) and weights.shape[-2] > 1

    def _attention(self, name: str, func: Function, args: Any, kwargs: Any, result: Any) -> None:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        module = running(self._paths)
        query, key, value, mask = (given.get(name) for name in names[:4])
        if module is None or not all(isinstance(t, torch.Tensor) and t.ndim >= 2 for t in (query, key, value)):
            return
        assert isinstance(query, torch.Tensor)
        assert isinstance(key, torch.Tensor)
        lead = batch_of(tuple(query.shape[:-2]), self._rows(), module)
        if lead is None:
            self._doubted(module, (query.shape[-2], key.shape[-2]))
            return
        parts = [laid_out(t, lead) for t in (query, key, value, result)]
        if any(part is None for part in parts):
            return
        q, k, v, out = parts
        assert out is not None
        scale = given.get("scale")
        sources = None
        if self._origins is not None:
            tokens = self._origins.of(query), self._origins.of(key)
            if tokens[0] is not None and tokens[1] is not None and tokens[0][1] == tokens[1][1]:
                sources = _placed(tokens[0][0], tokens[1][0], tokens[0][1], lead)
        self._seen(
            Call(
                module=module,
                tap="function",
                function=_sdpa,
                query=q,
                key=k,
                value=v,
                mask=_square(mask, query, lead),
                keywords={"scaling": query.shape[-1] ** -0.5 if scale is None else scale, "is_causal": bool(given.get("is_causal"))},
                output=out.transpose(1, 2),
                sources=sources,
            )
        )

    def _multi_head(self, name: str, func: Function, args: Any, kwargs: Any, result: Any) -> None:
        module = running(self._paths)
        if module is not None:
            with torch.no_grad():
                call = multihead.call_of(module, func, args, kwargs, result[0])
            if call is not None:
                self._seen(call)


# Not of the object: it would hold itself, and all that was recorded, until the collector of cycles comes by.
_TAPS: dict[str, Callable[[FunctionTap, str, Function, Any, Any, Any], None]] = {
    **dict.fromkeys(_VALUES | _LAYOUT, FunctionTap._through),
    **dict.fromkeys(_PRODUCTS, FunctionTap._product),
    **dict.fromkeys(_SOFTMAX, FunctionTap._softmax),
    "scaled_dot_product_attention": FunctionTap._attention,
    "multi_head_attention_forward": FunctionTap._multi_head,
}


def _after(node: Weights, name: str, args: Any, out: torch.Tensor) -> Weights:
    """Follow weights through a function: what they were before a dropout, unless something weighs them afterwards."""
    if name == "dropout" and out is not args[0]:
        return replace(node, before=args[0])
    return replace(node, before=None) if node.before is not None and name in _TIMES else node


def _turned(sources: tuple[torch.Tensor, torch.Tensor, int] | None) -> tuple[torch.Tensor, torch.Tensor, int] | None:
    return None if sources is None else (sources[1], sources[0], sources[2])


def _placed(queries: torch.Tensor, keys: torch.Tensor, count: int, lead: Any) -> Sources | None:
    """Lay tokens out by batch: all heads of a part see the same."""
    q, k = laid_out(queries, lead), laid_out(keys, lead)
    return None if q is None or k is None else Sources(q[:, 0, :, 0], k[:, 0, :, 0], count)


def _square(mask: Any, query: torch.Tensor, lead: Any) -> Any:
    """Give a mask batch and heads: two dimensions are queries × keys here, whereas those of kernels mean padding."""
    if not isinstance(mask, torch.Tensor):
        return mask
    if mask.ndim == query.ndim and mask.shape[:-2] == query.shape[:-2]:
        return laid_out(mask, lead)
    while mask.ndim < 4:
        mask = mask[None]
    return mask


def _sdpa(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, *, scaling: Any = None, is_causal: bool = False
) -> tuple[torch.Tensor, None]:
    """Torch's attention with the signature that functions of the interface have."""
    grouped = {"enable_gqa": True} if key.shape[1] != query.shape[1] else {}
    found = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=is_causal and mask is None, scale=scaling, **grouped
    )
    return found.transpose(1, 2), None
