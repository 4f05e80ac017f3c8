"""torch's fused Adam without the bookkeeping around it, which takes a small network longer than the update itself."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Moments(NamedTuple):
    """Of the parameters of a group, in their order."""

    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    """How many there were: views of `together`, which counts all of them up at once."""
    together: Tensor


class LeanAdam(torch.optim.Adam):
    """Adam with `fused=True`: from the second step on it calls torch's kernel without looking everything up."""

    _moments: list[_Moments] | None = None

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 - torch's own signature
        """One update, the same to the bit as torch's."""
        groups = [(group, [parameter.grad for parameter in group["params"]]) for group in self.param_groups]
        if closure is not None or self._moments is None or any(grad is None for _, grads in groups for grad in grads):
            result = super().step(closure)
            self._moments = self._looked_up()
            return result
        with torch.no_grad():
            for (group, grads), moments in zip(groups, self._moments, strict=True):
                _update(group, grads, moments)
        return None

    vars(step)["hooked"] = True  # what torch marks steps with that it need not wrap for its profiler

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state."""
        super().load_state_dict(dict(state_dict))
        self._moments = None

    def _looked_up(self) -> list[_Moments] | None:
        """None as long as a parameter has no state."""
        groups = [[self.state.get(parameter, {}) for parameter in group["params"]] for group in self.param_groups]
        if not all(state for states in groups for state in states):
            return None
        return [_moments(states) for states in groups]


def _moments(states: list[dict[str, Tensor]]) -> _Moments:
    together = torch.stack([state["step"] for state in states])
    for state, step in zip(states, together, strict=True):
        state["step"] = step
    means, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    return _Moments(means, squares, steps, together)


def _update(group: Mapping[str, Any], grads: list[Tensor], moments: _Moments) -> None:
    moments.together.add_(1)
    update = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
    update(
        group["params"],
        grads,
        moments.means,
        moments.squares,
        [],
        moments.steps,
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=False,
    )
