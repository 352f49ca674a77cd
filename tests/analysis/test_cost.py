"""What a network costs, against sums done by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from checkerscope.analysis.cost import inference_cost, step_memory_mb

MB = 2**20


def test_what_the_backward_pass_needs_stays_alive() -> None:
    """Three sigmoids keep their outputs; the square comes on top, then its gradient, and the ring shrinks."""
    chain = nn.Sequential(*(nn.Sigmoid() for _ in range(3)))
    x = torch.zeros(1, MB // 4, requires_grad=True)  # 1 MB
    assert round(step_memory_mb(chain, x), 3) == 6.0
    with_views = nn.Sequential(nn.Flatten(), *chain, nn.Unflatten(1, (4, -1)))
    assert round(step_memory_mb(with_views, x), 3) == 6.0


def test_in_place_operations_need_nothing_more() -> None:
    x = torch.zeros(1, 1, MB // 4)
    plain, in_place = (
        nn.Sequential(nn.Conv1d(1, 4, 1, bias=False), nn.LeakyReLU(inplace=flag)) for flag in (False, True)
    )
    assert step_memory_mb(plain, x) - step_memory_mb(in_place, x) == 4.0  # LeakyReLU keeps its input


def test_the_network_and_the_generator_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 1), nn.BatchNorm1d(2), nn.Dropout(0.5)).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    first = step_memory_mb(network, torch.ones(2, 1, 8))
    assert step_memory_mb(network, torch.ones(2, 1, 8)) == first > 0
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_cost_counts_a_parametrized_layer_as_the_plain_one() -> None:
    layer, x = nn.Conv2d(1, 4, 3, padding=1), torch.rand(1, 1, 32, 32)
    before = inference_cost(layer, x)
    parametrize.register_parametrization(layer, "weight", nn.Softplus())
    assert inference_cost(layer, x) == before == (40, 4 * 9 * 32 * 32)
    assert parametrize.is_parametrized(layer)
