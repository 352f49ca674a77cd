import pytest
import torch
from torch import nn

from checkerscope.analysis.measures.gradient_tone import gradient_tone
from checkerscope.analysis.measures.overlap_map import overlap_map


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def share(values):
    return float(1 - values.mean().square() / values.square().mean())


@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 2), (4, 2), (2, 2), (5, 2), (7, 2), (1, 2), (5, 3)])
def test_a_convolution_of_ones_has_the_share_of_its_overlap(kernel_size, stride):
    layer = nn.Conv2d(1, 1, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.ones_(layer.weight)
    mean, _ = gradient_tone(layer, images(2, 1, 12 * stride, 12 * stride), stride, margin=2 * stride)
    assert mean == pytest.approx(share(overlap_map([(kernel_size, stride)], backward=True)), abs=1e-6)


def test_max_pooling_leaves_three_quarters_of_the_energy_out():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(8, 1, 64, 64, generator=generator)
    mean, energy = gradient_tone(nn.MaxPool2d(2), x, 2)
    # the maximum lies at every phase equally often: the mean is even, up to the scatter of 8192 cells
    assert mean == pytest.approx(0, abs=1e-3)
    assert energy == pytest.approx(0, abs=1e-3)


def test_random_strided_encoders_have_the_share_of_theory():
    torch.manual_seed(0)
    shares = [gradient_tone(nn.Conv2d(1, 16, 3, 2, 1), images(1, 1, 16, 16), 2, margin=4)[0] for _ in range(40)]
    assert sum(shares) / len(shares) == pytest.approx(0.75, abs=0.05)


def test_no_stride_no_tone():
    torch.manual_seed(0)
    assert gradient_tone(nn.Conv2d(3, 4, 3, 1, 1), images(1, 3, 16, 16), 2, margin=4) == pytest.approx((0, 0), abs=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        gradient_tone(nn.Conv2d(1, 1, 3), torch.full((1, 1, 8, 8), torch.nan), 2)
