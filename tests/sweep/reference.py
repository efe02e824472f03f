"""What a model's attention weights are, found without attnlog: a second copy of the model, run eager, with every softmax in sight.

Where the model goes through transformers' `AttentionInterface`, the eager function returns its weights. Elsewhere
`scaled_dot_product_attention` is written out, and a softmax counts whose result is multiplied with something afterwards. The
reference holds only if the copy's outputs are those of the model.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode
from transformers.pytorch_utils import Conv1D

from tests.sweep.build import Built, model_of

AGREE = 1e-3  # of the outputs' size: eager and fused kernels round otherwise


@dataclass(frozen=True)
class Matrix:
    """The weights of one attention call, and q and k where the call names them."""

    path: str
    call: int  # the how manieth of its module
    weights: torch.Tensor
    source: str  # interface, fused or softmax
    query: torch.Tensor | None = None
    key: torch.Tensor | None = None
    sort: str = ""  # plain, tower or folded
    projected: tuple[torch.Tensor, ...] = ()  # what the linear layers of its module gave


@dataclass
class Reference:
    """All attention of one forward pass, or the reason why there is none to compare with."""

    matrices: list[Matrix] = field(default_factory=list)
    reason: str = ""


def run(model: torch.nn.Module, inputs: Mapping[str, Any]) -> Any:
    """Run a model as the sweep always does: from the same random state, without gradients and without a cache, as in training."""
    torch.manual_seed(5)
    uncached = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    with torch.no_grad():
        return model(**inputs, **uncached)


def tensors(output: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of a model's output with where it is."""
    if isinstance(output, torch.Tensor):
        yield name, output
    elif isinstance(output, Mapping):
        for key, value in output.items():
            yield from tensors(value, f"{name}.{key}")
    elif isinstance(output, (list, tuple)):
        for number, value in enumerate(output):
            yield from tensors(value, f"{name}.{number}")


def reference(built: Built, output: Any) -> Reference:
    """Return the weights of the model on its inputs; `output` is what the model itself gave.

    Eager comes first. Where it differs from the model at rest (some eager functions lose a mask, or have no answer for rows that
    see nothing), the fused function that the model uses is written out instead.
    """
    eager = _by(built, output, {"attn_implementation": "eager"})
    if not eager.reason:
        return eager
    fused = _by(built, output, {})
    return eager if fused.reason else fused


def _by(built: Built, output: Any, settings: dict[str, Any]) -> Reference:
    try:
        copy = model_of(built.name, **settings)
        _same_weights(built.model, copy)
        if _shape(copy) != _shape(built.model):
            run(copy, built.inputs)  # it takes itself apart on its first inputs, as the model did on its own
        watch = Watch(copy)
        with watch.watching():
            again = run(copy, built.inputs)
    except Exception as error:
        return Reference(reason=f"the eager copy does not run: {type(error).__name__}: {str(error)[:150]}")
    worst = _difference(dict(tensors(output)), dict(tensors(again)))
    if not worst <= AGREE:
        return Reference(reason=f"eager is no valid reference: its outputs differ by {worst:.2g}")
    matrices = watch.matrices()
    if not matrices:
        return Reference(reason="no attention")
    rows, lengths = _axes(built)
    return Reference([sorted_out(matrix, rows, lengths) for matrix in matrices])


def sorted_out(matrix: Matrix, rows: int, lengths: set[int]) -> Matrix:
    """Say whether a matrix is between tokens of text, between other positions of an input, or of parts of inputs folded into the batch."""
    weights = matrix.weights
    if weights.ndim == 3 and weights.shape[0] % rows == 0:
        weights = weights.reshape(rows, -1, *weights.shape[1:])
    if weights.ndim != 4 or weights.shape[0] != rows:
        sort = "folded"
    else:
        sort = "plain" if {weights.shape[2], weights.shape[3]} <= lengths else "tower"
    return Matrix(matrix.path, matrix.call, weights, matrix.source, matrix.query, matrix.key, sort, matrix.projected)


def _axes(built: Built) -> tuple[int, set[int]]:
    given = {name: value for name, value in built.inputs.items() if isinstance(value, torch.Tensor)}
    named = {n: v for n, v in given.items() if n.endswith("input_ids") or n == "inputs_embeds"}
    if not named:
        named = {n: v for n, v in given.items() if n == "hidden_states" and v.ndim == 3}
    rows = next((len(v) for v in named.values()), 2)
    return rows, {int(v.shape[1]) for v in named.values()}


def _shape(model: torch.nn.Module) -> list[tuple[str, type]]:
    return [(name, type(module)) for name, module in model.named_modules()]


def _same_weights(model: torch.nn.Module, copy: torch.nn.Module) -> None:
    mine = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        for name, tensor in [*copy.named_parameters(), *copy.named_buffers()]:
            if tensor.shape == mine[name].shape:  # tables of positions grow with what a model has seen
                tensor.copy_(mine[name])


def _difference(mine: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    worst = 0.0
    for name, tensor in mine.items():
        if "attentions" in name or name not in other or tensor.numel() == 0:
            continue
        again = other[name]
        if tensor.shape != again.shape:
            return float("inf")
        if tensor.is_floating_point():
            one, two = tensor.double(), again.double()
            both = one.isfinite() & two.isfinite()
            if not torch.equal(one.isfinite(), two.isfinite()):
                return float("inf")
            size = one[both].abs().mean().clamp(min=1e-3) if both.any() else torch.ones(())
            worst = max(worst, float((one - two)[both].abs().max() / size) if both.any() else 0.0)
    return worst


def valid(weights: Any) -> bool:
    """Whether these can be attention weights: not negative, and no row above 1."""
    if not isinstance(weights, torch.Tensor) or weights.ndim < 3 or not weights.is_floating_point() or weights.numel() == 0:
        return False
    # A row whose keys are all masked is not a number in eager, and the rest stays what it is.
    found = weights.detach().float().nan_to_num(nan=0.0)
    return bool(found.any()) and bool((found >= 0).all()) and bool((found.sum(-1) <= 1 + 1e-4).all())


SOFTMAX = {F.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax, F.gumbel_softmax}
# What a model may do to weights before it multiplies them with values.
TOUCHES = {
    torch.masked_fill, torch.Tensor.masked_fill, torch.Tensor.to, torch.Tensor.type, torch.Tensor.type_as, torch.Tensor.float,
    torch.Tensor.mul, torch.mul, torch.Tensor.clone, torch.where, torch.Tensor.where, F.dropout, torch.Tensor.contiguous,
}  # fmt: skip
PRODUCTS = {
    torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.bmm, torch.Tensor.bmm, torch.einsum, torch.baddbmm,
    torch.functional.einsum, torch.Tensor.__rmatmul__,
}  # fmt: skip


def _over_keys(weights: torch.Tensor) -> bool:
    """Whether a softmax ran over the last axis, as over keys: kernels and additive scores have theirs elsewhere."""
    sums = weights.float().nan_to_num(nan=0.0).sum(-1)
    return bool(((sums - 1).abs() < 1e-3).logical_or(sums.abs() < 1e-6).all())


def _effective(weights: torch.Tensor, value: Any, output: Any) -> torch.Tensor:
    """Return the weights by which values become the output: a sink may scale each row of the output only after its softmax."""
    if not isinstance(output, torch.Tensor) or output.ndim != 4 or value.ndim != 4 or weights.shape[1] % value.shape[1]:
        return weights
    wide = value.repeat_interleave(weights.shape[1] // value.shape[1], 1).float()
    if weights.shape[-1] != wide.shape[-2]:
        return weights
    made, given = weights.float() @ wide, output.transpose(1, 2).float()
    if made.shape != given.shape or torch.allclose(made, given, atol=1e-4, rtol=1e-3):
        return weights
    scale = (made * given).sum(-1, keepdim=True) / (made * made).sum(-1, keepdim=True).clamp(min=1e-12)
    return weights * scale if torch.allclose(made * scale, given, atol=1e-4, rtol=1e-3) else weights


class Watch(TorchFunctionMode):
    """Sees every attention call of a forward pass, and which module makes it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._stack: list[str] = []
        self._found: list[Matrix] = []
        self._loose: list[
            tuple[str, torch.Tensor, bool]
        ] = []  # softmaxes that nothing was multiplied with yet, and whether the interface ran them
        self._inside = 0
        self._projected: list[tuple[str, torch.Tensor]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs inside."""
        from transformers.modeling_utils import AttentionInterface

        get_interface, get_item = AttentionInterface.get_interface, AttentionInterface.__getitem__
        before = hooks.register_module_forward_pre_hook(self._enter)
        after = hooks.register_module_forward_hook(self._leave, always_call=True)
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        AttentionInterface.get_interface = lambda s, *a, **k: self._seen(get_interface(s, *a, **k))
        AttentionInterface.__getitem__ = lambda s, key: self._seen(get_item(s, key))
        try:
            with self:
                yield
        finally:
            AttentionInterface.get_interface = get_interface
            del AttentionInterface.__getitem__
            torch.backends.mha.set_fastpath_enabled(fast)
            before.remove()
            after.remove()

    def matrices(self) -> list[Matrix]:
        """Return what was found, calls counted within their module."""
        calls: Counter[str] = Counter()
        made = []
        for one in self._found:
            near = tuple(output for path, output in self._projected if path.startswith(f"{one.path}."))
            weights = one.weights.detach().float().nan_to_num(nan=0.0)
            made.append(Matrix(one.path, calls[one.path], weights, one.source, one.query, one.key, projected=near))
            calls[one.path] += 1
        return made

    def _enter(self, module: torch.nn.Module, _: Any) -> None:
        above = self._stack[-1] if self._stack else ""
        # A softmax or a dropout that is a module of its own belongs to the attention around it.
        self._stack.append(above if isinstance(module, (torch.nn.Softmax, torch.nn.Dropout)) else self._paths.get(id(module), above))

    def _leave(self, module: torch.nn.Module, _: Any, output: Any) -> None:
        path = self._stack.pop() if self._stack else ""
        if isinstance(module, (torch.nn.Linear, Conv1D)) and isinstance(output, torch.Tensor):
            self._projected.append((path, output))

    def _seen(self, function: Any) -> Any:
        def attention(module: Any, query: Any, key: Any, value: Any, *rest: Any, **keywords: Any) -> Any:
            path = self._paths.get(id(module), self._stack[-1] if self._stack else "")
            self._inside += 1
            before = len(self._found)
            try:
                result = function(module, query, key, value, *rest, **keywords)
            finally:
                self._inside -= 1
            inner = self._found[before:]
            del self._found[before:]
            weights = result[1] if isinstance(result, tuple) and len(result) > 1 else None
            if not valid(weights):
                weights = inner[-1].weights if inner else None
            if weights is not None:
                output = result[0] if isinstance(result, tuple) else result
                self._found.append(Matrix(path, 0, _effective(weights, value, output), "interface", query, key))
            return result

        return attention if callable(function) else function

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            return self._written_out(*args, **kwargs)
        if function is F.multi_head_attention_forward:
            return self._many_heads(args, kwargs)
        if function in PRODUCTS and self._loose:
            self._multiplied(args)
        result = function(*args, **kwargs)
        if function in TOUCHES and self._loose:
            self._touched(args, result)
        if function in SOFTMAX and isinstance(result, torch.Tensor) and result.ndim > 2 and _over_keys(result) and valid(result):
            self._loose.append((self._stack[-1] if self._stack else "", result, bool(self._inside)))
            del self._loose[:-8]
        return result

    def _multiplied(self, args: Any) -> None:
        operands = [a for arg in args for a in (arg if isinstance(arg, (list, tuple)) else (arg,)) if isinstance(a, torch.Tensor)]
        for entry in list(self._loose):
            path, weights, _ = entry
            for one in operands[-3:]:
                if one.data_ptr() == weights.data_ptr() and one.numel() == weights.numel():
                    self._loose = [other for other in self._loose if other is not entry]
                    shaped = one if one.ndim <= weights.ndim and one.shape[-1] == weights.shape[-1] else weights
                    self._found.append(Matrix(path, 0, (weights if weights.ndim >= 4 else shaped).clone(), "softmax"))
                    break

    def _touched(self, args: Any, result: Any) -> None:
        for number, (path, weights, inside) in enumerate(self._loose):
            mine = any(isinstance(a, torch.Tensor) and a.data_ptr() == weights.data_ptr() and a.shape == weights.shape for a in args)
            if mine and isinstance(result, torch.Tensor) and result.shape == weights.shape and valid(result):
                self._loose[number] = (path, result, inside)

    def _many_heads(self, args: Any, kwargs: Any) -> Any:
        """Ask torch's own multi-head attention for the weights of each head."""
        averaged = kwargs.get("average_attn_weights", True)
        wanted = kwargs.get("need_weights", True)
        output, weights = F.multi_head_attention_forward(*args, **{**kwargs, "need_weights": True, "average_attn_weights": False})
        self._found.append(Matrix(self._stack[-1] if self._stack else "", 0, weights.clone(), "fused"))
        return output, (weights.mean(-3) if averaged else weights) if wanted else None

    def _written_out(self, query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
                     scale: float | None = None, enable_gqa: bool = False) -> torch.Tensor:  # fmt: skip
        asked_key = key
        if enable_gqa:
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        scores = query.float() @ key.float().transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), -torch.inf)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        weights = torch.softmax(scores, -1).nan_to_num(0.0)
        self._found.append(Matrix(self._stack[-1] if self._stack else "", 0, weights, "fused", query, asked_key))
        return (weights @ value.float()).to(query.dtype)
