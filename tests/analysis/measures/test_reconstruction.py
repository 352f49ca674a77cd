import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from checkerscope.analysis.measures.reconstruction import picture, reconstruction


def pair(*shape):
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(*shape, generator=generator)
    return (target + 0.1 * torch.randn(*shape, generator=generator)).clamp(0, 1), target


def test_scores_are_those_of_scikit_image():
    images, target = pair(1, 3, 32, 24)
    scores = reconstruction(images, target)
    a, b = (x[0].permute(1, 2, 0).double().numpy() for x in (images, target))
    assert scores["psnr"] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1.0), rel=1e-9)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert scores["ssim"] == pytest.approx(structural_similarity(a, b, channel_axis=-1, **options), rel=1e-9)
    assert scores["mse"] == pytest.approx(float(np.mean((a - b) ** 2)), rel=1e-9)


def test_the_range_counts():
    images, target = pair(2, 1, 16, 16)
    wide = reconstruction(images * 255, target * 255, data_range=255.0)
    narrow = reconstruction(images, target)
    assert wide["psnr"] == pytest.approx(narrow["psnr"], rel=1e-5)
    assert wide["ssim"] == pytest.approx(narrow["ssim"], rel=1e-4)


def test_a_perfect_reconstruction():
    scores = reconstruction(torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16))
    assert scores == {"mse": 0.0, "psnr": math.inf, "ssim": 1.0}


def test_ssim_is_nan_for_images_smaller_than_its_window():
    assert math.isnan(reconstruction(torch.ones(1, 1, 8, 16), torch.zeros(1, 1, 8, 16))["ssim"])


def test_pictures_are_clipped_and_rounded():
    x = torch.tensor([-0.2, 0.0, 0.4999, 1.0, 1.7]).reshape(1, 1, 5)
    assert picture(x).flatten().tolist() == [0, 0, 127, 255, 255]
    assert picture(torch.zeros(3, 4, 5)).shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("images", "data_range", "message"),
    [
        (torch.zeros(1, 1, 8, 9), 1.0, r"images: expected shape \(1, 1, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), 0.0, "data_range: expected a positive number, got 0.0"),
        (torch.full((1, 1, 8, 8), math.nan), 1.0, "not finite"),
    ],
)
def test_bad_input_is_refused(images, data_range, message):
    with pytest.raises(ValueError, match=message):
        reconstruction(images, torch.zeros(1, 1, 8, 8), data_range=data_range)
