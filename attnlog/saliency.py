"""What saliency is asked for: by which methods, and of which number that the model gives."""

from __future__ import annotations

from dataclasses import dataclass

from attnlog.errors import ArgumentError

METHODS = ("gradient", "gradient_x_input", "integrated_gradients")


@dataclass(frozen=True)
class Saliency:
    """How much each token of an input has to do with one number that the model gives: the saliency target.

    Args:
        methods: any of ``gradient`` (‖∂F/∂e‖₂ for a token's embedding e and the target F; Simonyan et al. 2014, "Deep Inside
            Convolutional Networks"), ``gradient_x_input`` (e·∂F/∂e; Shrikumar et al. 2017, "Learning Important Features Through
            Propagating Activation Differences") and ``integrated_gradients`` ((e−b)·∫₀¹ ∂F/∂e(b+α(e−b)) dα, b being the mean
            embedding of the vocabulary for every token; Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks"; needs captum).
        target: ``"auto"``: the logit of the predicted class, of the top next token, or of the top token under the first mask; of models
            that answer questions those of the likeliest start and end. ``"loss"``: of a decoder the mean loss of its own input, else of
            the input's labels. A number: the logit of that class or token id. Any other text: the logit of that label or token.
        position: whose logit, counted from the end where negative. -1 is the last token; for masked language models the first mask token
            where there is one, and for them and for token classification else the last token that is not special. Classification of whole
            inputs ignores it.
        steps: points that integrated gradients begin with; doubled until attributions sum to what they explain within 1 %.
        most_steps: where doubling ends. What error is left is recorded.

    Raises:
        ArgumentError: a method that is none, or numbers that cannot be.
    """

    methods: tuple[str, ...] = METHODS
    target: str | int = "auto"
    position: int = -1
    steps: int = 32
    most_steps: int = 1024

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        given: str | tuple[str, ...] = self.methods
        methods = (given,) if isinstance(given, str) else tuple(given)
        unknown = [method for method in methods if method not in METHODS]
        if unknown or not methods:
            raise ArgumentError(f"methods of saliency are {methods!r}; they are any of {', '.join(METHODS)}")
        object.__setattr__(self, "methods", tuple(dict.fromkeys(methods)))
        if isinstance(self.target, bool) or not isinstance(self.target, (str, int)) or self.target == "":
            raise ArgumentError(f"target of saliency is {self.target!r}; it is 'auto', 'loss', a number, or a label or token")
        for name in ("position", "steps", "most_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or (name != "position" and value < 1):
                raise ArgumentError(f"{name} of saliency is {value!r}; it is a whole number" + ("" if name == "position" else " from 1"))
