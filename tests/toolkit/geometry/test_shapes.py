"""Shapes through networks: formulas, functions between the layers, and the first wrong size."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.toolkit.geometry.shapes import trace
from checkerscope.toolkit.networks.autoencoder import Autoencoder
from checkerscope.toolkit.upsamplers.transposed_conv import TransposedConv


class Skip(nn.Module):
    """A U-Net of one level, without any care for odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.pool = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)
        self.deep, self.up = nn.Conv2d(4, 8, 3, padding=1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(self.down(x))
        y = F.relu(self.up(F.relu(self.deep(self.pool(skip)))))
        return self.out(torch.cat([skip, y], dim=1))


def strided() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1),
        nn.Conv2d(4, 8, 3, 2, 1),
        nn.ConvTranspose2d(8, 4, 3, 2, 1),
        nn.ReLU(True),
        nn.ConvTranspose2d(4, 1, 3, 2, 1),
    )


def test_a_fitting_network_has_no_problem() -> None:
    model = Autoencoder(TransposedConv, width=4, latent_channels=3)
    model.train()
    found = trace(model, torch.zeros(1, 3, 16, 16), target=(16, 16))
    assert found.output == (1, 3, 16, 16)
    assert (found.problem, found.first_wrong) == ("", -1)
    assert model.training
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    kinds = [row.kind for row in found.rows]
    assert kinds.count("TransposedConv") == 2  # an upsampler is one row, whatever is inside
    assert [row.formula for row in found.rows if row.kind == "TransposedConv"] == ["4 * 2 = 8", "8 * 2 = 16"]
    pools = [row for row in found.rows if row.name.startswith("[max_pool2d")]
    assert [row.output[2:] for row in pools] == [(8, 8), (4, 4)]


def test_formulas_have_their_numbers_filled_in() -> None:
    found = trace(strided(), torch.zeros(1, 1, 28, 30))
    assert found.rows[0].formula == (
        "floor((28 + 2 * 1 - 1 * (3 - 1) - 1) / 2) + 1 = 14; floor((30 + 2 * 1 - 1 * (3 - 1) - 1) / 2) + 1 = 15"
    )
    assert found.rows[2].formula.startswith("(7 - 1) * 2 - 2 * 1 + 1 * (3 - 1) + 0 + 1 = 13")
    assert [row.parent for row in found.rows] == [-1, 0, 1, 2, 3]


def test_the_first_layer_that_misses_the_target_is_marked() -> None:
    found = trace(strided(), torch.zeros(1, 1, 28, 28), target=(28, 28))
    assert found.problem == "the result has size 25 x 25, the target 28 x 28"
    wrong = found.rows[found.first_wrong]
    assert (wrong.name, wrong.output[2:], wrong.needed) == ("2", (13, 13), (14, 14))


def test_rounding_is_marked_where_it_happens() -> None:
    model = nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(1, 1, 3, padding=1), nn.ConvTranspose1d(1, 1, 4, 2, 1))
    found = trace(model, torch.zeros(1, 1, 15), target=(15,))
    wrong = found.rows[found.first_wrong]
    assert (wrong.kind, wrong.output[2:], wrong.needed) == ("MaxPool1d", (7,), (Fraction(15, 2),))


def test_a_skip_that_does_not_fit_leads_back_to_its_cause() -> None:
    found = trace(Skip(), torch.zeros(1, 1, 15, 16))
    assert found.output is None
    assert found.problem == "[cat]: sizes 15 x 16 and 14 x 16 meet"
    wrong = found.rows[found.first_wrong]
    assert (wrong.name, wrong.needed) == ("pool", (Fraction(15, 2), Fraction(8)))
    assert trace(Skip(), torch.zeros(1, 1, 16, 16)).problem == ""


class Levels(nn.Module):
    """A U-Net of two levels whose poolings both round down."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(i, 4, 3, padding=1) for i in (3, 4, 4))
        self.pool, self.up2, self.up1 = nn.MaxPool2d(2), nn.ConvTranspose2d(4, 4, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(self.pool(a))
        y = torch.cat([b, self.up2(self.third(self.pool(b)))], 1)
        return torch.cat([a, self.up1(y)], 1)


@pytest.mark.parametrize(
    ("sides", "nearest", "pads"),
    [
        ((31, 31), (32, 32), (0, 1, 0, 1)),
        ((30, 32), (32, 32), (0, 0, 0, 2)),
        ((33, 45), (32, 44), (0, 3, 0, 3)),
    ],
)
def test_two_poolings_that_round_get_a_size_that_fits_both(
    sides: tuple[int, ...], nearest: tuple[int, ...], pads: tuple[int, ...]
) -> None:
    found = trace(Levels(), torch.zeros(1, 3, *sides))
    assert found.rows[found.first_wrong].name == "pool"
    assert found.fit is not None
    assert (found.fit.nearest, found.fit.pads) == (nearest, pads)
    assert trace(Levels(), torch.zeros(1, 3, *nearest)).problem == ""
    assert trace(Levels(), F.pad(torch.zeros(1, 3, *sides), pads)).problem == ""


def test_no_fitting_size_is_nearer() -> None:
    found = trace(Levels(), torch.zeros(1, 3, 37, 37)).fit
    assert found is not None
    assert found.nearest == (36, 36)
    assert str(found) == (
        "nearest input size that fits: 36 x 36;"
        " or pad the input to 40 x 40: F.pad(x, (0, 3, 0, 3)), then crop the result"
    )
    assert all(trace(Levels(), torch.zeros(1, 3, side, side)).problem for side in (37, 38, 39))


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("width", [-2, -6])
@pytest.mark.parametrize("slicing", [True, False])
def test_a_crop_of_the_wrong_size_is_blamed_and_not_the_first_convolution(
    early: bool, width: int, slicing: bool
) -> None:
    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.up = nn.Conv2d(1, 4, 3, padding=1), nn.ConvTranspose2d(4, 4, 2, 2)
            self.relu = nn.ReLU()

        def crop(self, x: Tensor) -> Tensor:
            return self.relu(x[..., -width:width, -width:width] if slicing else F.pad(x, (width,) * 4))

        def forward(self, x: Tensor) -> Tensor:
            skip = self.first(x)
            cropped = self.crop(skip) if early else skip
            y = self.up(F.max_pool2d(skip, 2))
            return torch.cat([cropped if early else self.crop(skip), y], 1)

    found = trace(Cropped(), torch.zeros(1, 1, 32, 32))
    assert found.problem.startswith("[cat]")
    assert found.rows[found.first_wrong].name == ("[getitem]" if slicing else "[pad]")
    assert found.rows[found.first_wrong].needed == (32, 32)
    assert found.fit is None  # a fixed crop fits at no size


def test_a_slice_with_steps_is_no_crop() -> None:
    class Sampled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Upsample(scale_factor=2)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.up(x[..., ::2])

    found = trace(Sampled(), torch.zeros(1, 1, 9))
    assert (found.rows[found.first_wrong].name, found.rows[found.first_wrong].needed) == (
        "[getitem]",
        (Fraction(9, 2),),
    )
    assert found.fit is not None
    assert found.fit.nearest == (10,)


def test_a_target_as_large_as_the_input_stays_so_at_other_sizes() -> None:
    found = trace(strided(), torch.zeros(1, 1, 28, 28), target=(28, 28)).fit
    assert found is not None
    assert found.nearest == (29, 29)  # 29, 15, 8, 15, 29


def test_a_sum_that_does_not_fit_is_found_too() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shrink = nn.Conv1d(2, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.shrink(x)

    found = trace(Residual(), torch.zeros(1, 2, 9))
    assert found.problem == "[add]: sizes 9 and 7 meet"
    assert found.rows[found.first_wrong].name == "shrink"


def test_functions_between_the_layers_are_rows() -> None:
    class Functions(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.interpolate(F.max_pool2d(x, 2), scale_factor=3)
            return F.pad(x, (0, 1, 0, 1))[..., :-2].flatten(1)

    model = nn.Sequential(nn.Identity(), Functions(), nn.Linear(9, 2))
    model[1].inner = nn.Identity()  # not a leaf, so that its functions are seen
    found = trace(model, torch.zeros(1, 1, 4, 4))
    names = [row.name for row in found.rows]
    assert names == ["0", "[max_pool2d]", "[interpolate]", "[pad]", "[getitem]", "[flatten]"]
    assert [row.formula for row in found.rows[1:4]] == ["4 / 2 = 2", "2 * 3 = 6", "6 -> 7"]
    assert found.problem.startswith("2: mat1 and mat2 shapes cannot be multiplied")
    assert found.first_wrong == -1


@pytest.mark.parametrize(
    ("layer", "shape", "formula"),
    [
        (nn.Upsample(scale_factor=2), (1, 1, 5), "5 * 2 = 10"),
        (nn.PixelShuffle(3), (1, 9, 2, 2), "2 * 3 = 6"),
        (nn.PixelUnshuffle(2), (1, 1, 4, 4), "4 / 2 = 2"),
        (nn.AvgPool2d(3, 2, ceil_mode=True), (1, 1, 6, 6), "ceil((6 + 2 * 0 - 1 * (3 - 1) - 1) / 2) + 1 = 3"),
        (nn.AdaptiveAvgPool2d(3), (1, 1, 7, 7), "7 -> 3"),
        (nn.Conv2d(1, 1, 3, padding="same"), (1, 1, 7, 7), "padding 'same' = 7"),
        (nn.ReLU(), (1, 1, 7, 7), ""),
    ],
)
def test_the_laws_of_other_layers(layer: nn.Module, shape: tuple[int, ...], formula: str) -> None:
    assert trace(layer, torch.zeros(shape)).rows[0].formula == formula


def test_an_output_size_that_is_asked_for_shows_its_output_padding() -> None:
    class Asked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose1d(1, 1, 3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x, output_size=[8])

    assert trace(Asked(), torch.zeros(1, 1, 4)).rows[0].formula == "(4 - 1) * 2 - 2 * 1 + 1 * (3 - 1) + 1 + 1 = 8"


def test_a_target_of_other_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"target: expected 2 lengths, got \(8,\)"):
        trace(nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 4, 4), target=(8,))


def test_any_error_of_the_network_is_reported() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("lost")

    found = trace(Broken(), torch.zeros(1, 1, 4))
    assert (found.output, found.problem, found.first_wrong) == (None, "Broken: 'lost'", -1)
