"""Inspection of images: known periods, directions and strengths; what is clean; what only resembles a grid."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from numpy.typing import NDArray
from PIL import Image

import checkerscope
from checkerscope.analysis.inspect import Inspection, compression, inspect, orders, residuals, seams, sources, variances
from checkerscope.analysis.inspect.components import Component, families
from checkerscope.analysis.inspect.maps import Maps, folded
from checkerscope.analysis.inspect.residuals import Residual, residual

Pixels = NDArray[np.float64]


def smooth(count: int, side: int, seed: int = 0) -> Pixels:
    """Return colour images whose power falls with frequency as that of photographs, (count, 3, side, side)."""
    rng = np.random.default_rng(seed)
    found = np.zeros((count, 3, side, side))
    for radius in (0.5, 1, 2, 4, 8, 16):
        white = rng.standard_normal((count, 1, side, side))
        found += scipy.ndimage.gaussian_filter(white, (0, 0, radius, radius), mode="wrap") * radius**2
    return 0.5 + 0.15 * found / found.std() + 0.002 * rng.standard_normal(found.shape)


def dots(down: int, across: int) -> Pixels:
    """Return one period with one bright pixel, mean zero and root mean square one."""
    values = np.zeros((down, across))
    values[0, 0] = 1
    values -= values.mean()
    return values / values.std()


def tiled(values: Pixels, side: int) -> Pixels:
    return np.tile(values, [-(-side // length) for length in values.shape])[:side, :side]


def with_grid(images: Pixels, period: Pixels, db: float) -> Pixels:
    contrast = np.sqrt(images.reshape(len(images), 3, -1).var(-1).mean())
    return images + contrast * 10 ** (db / 20) * tiled(period, images.shape[-1])


CLEAN = smooth(16, 96)


@pytest.mark.parametrize("period", [2, 3, 4, 8, 14, 16, 24])
def test_the_period_is_named_and_no_multiple_of_it(period: int) -> None:
    found = inspect(with_grid(CLEAN, dots(period, period), -34))
    assert found.grid is not None
    assert (found.grid.period, found.grid.axes) == (period, ["rows", "columns"])
    assert len(found.grids) == 1
    assert found.grid.p_value < 1e-6
    assert set(found.grid.by_period) <= {d for d in range(2, period + 1) if period % d == 0}


@pytest.mark.parametrize(
    ("down", "across", "period", "axes"),
    [(8, 1, 8, ["rows"]), (1, 8, 8, ["columns"]), (2, 1, 2, ["rows"]), (4, 2, [4, 2], ["rows", "columns"])],
)
def test_the_direction_is_named(down: int, across: int, period: int | list[int], axes: list[str]) -> None:
    found = inspect(with_grid(CLEAN, dots(down, across), -34))
    assert found.grid is not None
    assert (found.grid.period, found.grid.axes) == (period, axes)


def test_stripes_of_two_periods_are_one_grid_with_a_period_per_axis() -> None:
    found = inspect(with_grid(with_grid(CLEAN, dots(14, 1), -30), dots(1, 16), -30))
    assert found.grid is not None
    assert (found.grid.period, found.grid.kind, len(found.grids)) == ([14, 16], "patch grid", 1)


def test_nested_grids_are_one_whose_parts_are_told_apart() -> None:
    found = inspect(with_grid(with_grid(CLEAN, dots(8, 8), -34), dots(2, 2), -28))
    assert found.grid is not None
    assert found.grid.period == 8
    assert found.grid.by_period[2] == pytest.approx(-28, abs=1.5)
    assert found.grid.by_period[8] < -33


def test_what_is_left_beyond_a_grid_is_another() -> None:
    found = inspect(with_grid(with_grid(CLEAN, dots(4, 4), -28), dots(7, 7), -34))
    assert [grid.period for grid in found.grids] == [4, 7]
    assert [beyond["period"] for beyond in found.to_dict()["beyond"]] == [7]


@pytest.mark.parametrize("db", [-20.0, -34.0])
def test_the_strength_is_what_was_added(db: float) -> None:
    images = with_grid(CLEAN, dots(4, 4), db)
    found = inspect(images)
    assert found.grid is not None
    assert found.grid.strength_db == pytest.approx(db, abs=0.7)
    contrast = np.sqrt(CLEAN.reshape(len(CLEAN), 3, -1).var(-1).mean())
    assert found.grid.levels == pytest.approx(255 * contrast * 10 ** (db / 20), rel=0.1)
    shift = found.grid.pattern.mean(0) - contrast * 10 ** (db / 20) * dots(4, 4)
    assert np.abs(shift).max() < 0.2 * contrast * 10 ** (db / 20)


def test_only_the_images_that_have_a_grid_show_it_and_the_worst_comes_first() -> None:
    images = CLEAN.copy()
    images[3] = with_grid(images[3:4], dots(4, 4), -20)[0]
    images[5:9] = with_grid(images[5:9], dots(4, 4), -26)
    found = inspect(images)
    assert found.images[0].name == "image 3"
    assert {image.name for image in found.images if image.shows} == {f"image {i}" for i in (3, 5, 6, 7, 8)}
    assert found.shows == 5
    assert found.images[0].strength_db == pytest.approx(-20, abs=2)
    assert all(image.strength_db is None and image.floor_db is not None for image in found.images[5:])


@pytest.mark.parametrize("count", [1, 4, 16])
def test_clean_images_are_not_flagged(count: int) -> None:
    flagged = sum(inspect(smooth(count, 64, seed)).grid is not None for seed in range(12))
    assert flagged <= 1  # at a level of 1 %


def test_copies_of_one_image_are_no_evidence() -> None:
    """The images need not differ: what is tested is the line against its neighbours, not the images' agreement."""
    assert inspect(np.repeat(smooth(1, 96, seed=1), 16, axis=0)).grid is None


def test_a_constant_and_an_image_of_rounding_alone_have_no_grid() -> None:
    assert inspect(np.full((3, 1, 64, 64), 0.3)).grid is None
    assert inspect(torch.full((3, 3, 64, 64), 0.3) + 1e-8 * torch.rand(3, 3, 64, 64)).grid is None


def test_a_grid_on_nothing_at_all_is_found() -> None:
    found = inspect(np.broadcast_to(0.5 + 0.1 * tiled(dots(4, 4), 64), (1, 64, 64))[None])
    assert found.grid is not None
    assert found.grid.period == 4
    assert "One image" in found.limits[0]


def test_sizes_may_differ_and_a_shift_by_the_period_changes_nothing() -> None:
    images = list(with_grid(CLEAN, dots(4, 4), -30))
    mixed = [image[:, : 96 - 7 * (i % 3), : 96 - 9 * (i % 4)] for i, image in enumerate(images)]
    found = inspect(mixed)
    moved = inspect([image[:, 4:, 8:] for image in mixed])
    assert found.grid is not None
    assert moved.grid is not None
    assert found.grid.period == moved.grid.period == 4
    assert found.grid.strength_db == pytest.approx(moved.grid.strength_db, abs=0.5)
    np.testing.assert_allclose(found.grid.pattern, moved.grid.pattern, atol=0.15 * np.abs(found.grid.pattern).max())


def test_the_order_of_images_and_their_scale_do_not_matter() -> None:
    images = with_grid(CLEAN, dots(4, 4), -30).astype(np.float32)
    one, other = inspect(images), inspect(images[::-1] * np.float32(255), data_range=255)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-3)
    strengths = [sorted(image.strength_db or 0 for image in each.images) for each in (one, other)]
    assert strengths[0] == pytest.approx(strengths[1], abs=0.01)


def test_a_colour_grid_without_brightness_is_found() -> None:
    images = CLEAN + np.array([1.0, 0.0, -1.0])[:, None, None] * 0.004 * tiled(dots(4, 4), 96)
    found = inspect(images)
    assert found.grid is not None
    assert found.grid.period == 4


def test_a_reference_takes_the_content_away() -> None:
    texture = CLEAN + 0.1 * tiled(dots(6, 6), 96)
    images = with_grid(texture, dots(4, 4), -40)
    found = inspect(images, reference=texture)
    assert [grid.period for grid in found.grids] == [4]
    assert found.grid is not None
    assert found.grid.strength_db == pytest.approx(-40, abs=0.5)


def stored(folder: Path, images: Pixels, **how: object) -> Path:
    folder.mkdir(exist_ok=True)
    kind = "jpg" if how else "png"
    for i, image in enumerate(images):
        pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{i}.{kind}", **how)
    return folder


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("is_png", [False, True])
def test_compression_is_not_blamed_on_an_upsampler(tmp_path: Path, quality: int, is_png: bool) -> None:
    folder = stored(tmp_path, CLEAN, quality=quality, subsampling="4:2:0")
    if is_png:
        for path in folder.glob("*.jpg"):
            Image.open(path).save(path.with_suffix(".png"))
            path.unlink()
    found = inspect(folder)
    assert found.grid is None
    assert "compression" in {other.kind for other in found.others}


def test_a_grid_that_was_compressed_is_still_a_grid(tmp_path: Path) -> None:
    found = inspect(stored(tmp_path, with_grid(CLEAN, dots(4, 4), -22), quality=90))
    assert found.grid is not None
    assert found.grid.period == 4


def test_the_law_of_compression_is_in_aligned_blocks_only() -> None:
    buffer = io.BytesIO()
    Image.fromarray((255 * CLEAN[0].transpose(1, 2, 0)).astype(np.uint8)).save(buffer, "JPEG", quality=75)
    values = np.asarray(Image.open(buffer)).transpose(2, 0, 1).astype(np.float32) / 255
    assert compression.excess(values) > 0.3
    assert compression.excess(values[:, 4:, 4:]) < -0.3
    assert abs(compression.excess(CLEAN[0].astype(np.float32))) < compression.EXCESS / 2


def test_a_resize_by_repetition_is_a_staircase() -> None:
    found = inspect(np.round(smooth(8, 48) * 255).repeat(2, 2).repeat(2, 3), data_range=255)
    assert ("staircase", 2) in {(other.kind, other.period) for other in found.others}
    assert variances.staircase([np.zeros((3, 32, 32), dtype=np.float32)]) is None
    cells = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32).repeat(4, 1).repeat(4, 2)
    assert variances.staircase([cells, cells[:, 4:, 8:]]) == 4
    assert variances.staircase([]) is None


def test_seams_of_tiles_are_found_at_the_tile_alone() -> None:
    rng = np.random.default_rng(0)
    tiles = CLEAN + np.kron(rng.normal(0, 0.02, (16, 1, 3, 3)), np.ones((1, 1, 32, 32)))
    found = inspect(tiles, tile=32)
    assert found.grid is not None
    assert (found.grid.kind, found.grid.period) == ("tile seams", 32)
    assert inspect(CLEAN, tile=32).grid is None
    with pytest.raises(ValueError, match="tile: expected an integer from 12"):
        inspect(CLEAN, tile=4)


def test_an_image_smaller_than_a_tile_has_no_seam() -> None:
    maps = Maps()
    maps.add(residual(CLEAN[0].astype(np.float32)))
    assert np.isnan(seams.seam_p_values(maps, 128)).all()


def test_the_document_is_json_and_has_the_keys_that_programs_read() -> None:
    found = inspect(with_grid(CLEAN, dots(4, 4), -28))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    expected = {"grid", "period", "axes", "strength_db", "levels", "p_value", "beyond", "images", "verdict", "problems"}
    assert expected <= set(document)
    assert (document["grid"], document["period"], document["axes"]) == (True, 4, ["rows", "columns"])
    assert {"name", "strength_db"} <= set(document["images"][0])
    nothing = json.loads(json.dumps(inspect(CLEAN).to_dict(), allow_nan=False))
    assert set(nothing) == set(document)
    assert (nothing["grid"], nothing["period"], nothing["axes"], nothing["beyond"]) == (False, None, [], [])
    assert nothing["p_value"] > 0.01


def test_the_verdict_says_period_direction_strength_and_count() -> None:
    found = inspect(with_grid(CLEAN, dots(1, 4), -28))
    assert "period 4 px, columns, at -2" in found.verdict
    assert "of 255 grey levels" in found.verdict
    assert "seen in 16 of 16 images" in found.verdict
    assert inspect(CLEAN[:1]).verdict.startswith("No grid found in 1 image at periods of 2 to 24 px")


def test_it_is_one_of_the_names_people_use() -> None:
    assert checkerscope.inspect is inspect
    assert isinstance(checkerscope.inspect(CLEAN[:2]), Inspection)


REFUSED = {
    "expected real numbers of shape": np.zeros((2, 5, 64, 64)),
    "sides from 16": np.zeros((2, 3, 64, 8)),
    "finite numbers": np.full((1, 1, 32, 32), np.nan),
    "arrays, tensors or paths": [],
    "a mixture of both": ["folder", np.zeros((1, 32, 32))],
    "nothing there": "no/such/folder",
}


@pytest.mark.parametrize("message", list(REFUSED))
def test_what_is_no_image_is_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspect(REFUSED[message])  # type: ignore[arg-type]


def test_references_must_fit() -> None:
    with pytest.raises(ValueError, match="expected 16 images, got 3"):
        inspect(CLEAN, reference=CLEAN[:3])
    with pytest.raises(ValueError, match=r"shape \(3, 96, 96\), got \(3, 64, 64\)"):
        inspect(CLEAN, reference=CLEAN[:, :, :64, :64])
    with pytest.raises(ValueError, match="arrays for arrays"):
        inspect(CLEAN, reference="folder")
    with pytest.raises(ValueError, match="data_range: expected a positive number"):
        inspect(CLEAN, data_range=0)


def test_only_the_corner_of_a_huge_image_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_SIDE", 64)
    loaded = sources.sources(CLEAN, None, 1.0)[0][0].load()
    assert loaded.image.shape == (3, 64, 64)


def test_orders_share_no_line_and_hold_all_of_a_period() -> None:
    for period in (2, 3, 12, 16):
        lines = {
            (row * period // order, column * period // order)
            for order in range(1, period + 1)
            if period % order == 0
            for row, column in zip(*orders.numerators(order), strict=True)
        }
        whole = set(zip(*orders.numerators(period, whole=True), strict=True))
        # one of each conjugate pair, whichever
        both = {tuple(sorted([line, ((-line[0]) % period, (-line[1]) % period)])) for line in lines - {(0, 0)}}
        assert both == {tuple(sorted([line, ((-line[0]) % period, (-line[1]) % period)])) for line in whole}
    # Jordan's totient: 7 of the 8 x 8 lines less those of 4 x 4
    rows, columns = orders.numerators(8)
    assert len(rows) == (64 - 16) // 2
    assert (np.lcm(8 // np.gcd(rows, 8), 8 // np.gcd(columns, 8)) == 8).all()


def test_log_p_values_are_those_of_scipy() -> None:
    ratio, degrees = np.array([0.3, 2.0, 9.0, 0.3, 2.0, 9.0]), np.full(6, 17.0)
    real = np.arange(6) >= 3
    expected = scipy.stats.f.logsf(ratio, np.where(real, 1, 2), degrees)
    np.testing.assert_allclose(orders._log_tail(ratio, degrees, real), expected, rtol=1e-10)
    assert orders._log_gamma_tail(30.0, 12.0) == pytest.approx(scipy.stats.gamma.logsf(30, 12), rel=1e-10)
    # beyond the smallest number: continuous, and still decreasing
    near, far = orders._log_gamma_tail(750.0, 20.0), orders._log_gamma_tail(760.0, 20.0)
    assert far == pytest.approx(near - 10 + 19 * math.log(760 / 750), abs=1e-2)


def test_the_highpass_is_a_difference_of_running_means() -> None:
    image = np.random.default_rng(0).random((3, 23, 41)).astype(np.float32)
    means = [scipy.ndimage.uniform_filter(image, (0, side, side), mode="reflect") for side, _ in residuals.MEANS]
    expected = image - sum(weight * mean for (_, weight), mean in zip(residuals.MEANS, means, strict=True))
    np.testing.assert_allclose(residuals.highpass(image), expected, atol=2e-6)
    energy = scipy.ndimage.uniform_filter(residuals.highpass(residuals.planes(image)) ** 2, (0, 16, 16), mode="reflect")
    spread = np.sqrt(energy + residuals.LEAST_SPREAD**2)
    np.testing.assert_allclose(residual(image).spread, spread, rtol=1e-4)


@pytest.mark.parametrize(("down", "across"), [(0.5, 0.25), (0.0, 1 / 14), (0.125, 0.375)])
def test_the_gain_is_what_the_highpass_does_to_a_wave(down: float, across: float) -> None:
    rows, columns = np.indices((128, 128))
    wave = np.cos(2 * np.pi * (down * rows + across * columns))
    inside = residuals.highpass(np.stack([wave] * 3).astype(np.float32))[0, 16:-16, 16:-16]
    gain = residuals.gain(np.array(down), np.array(across))
    np.testing.assert_allclose(inside, gain * wave[16:-16, 16:-16], atol=2e-5)


def test_a_residual_has_about_unit_variance_everywhere() -> None:
    image = CLEAN[0].astype(np.float32)
    image[:, :, 48:] = 0.5 + 10 * (image[:, :, 48:] - 0.5)
    levelled = residual(image).levelled[0]
    assert levelled[:, :40].std() == pytest.approx(levelled[:, 56:].std(), rel=0.2)
    with pytest.raises(ValueError, match="expected shape"):
        residual(image[0])


def test_maps_grow_with_the_images_and_count_what_is_there() -> None:
    maps = Maps()
    for height, width in ((16, 20), (24, 18)):
        ones = np.ones((2, height, width), dtype=np.float32)
        maps.add(Residual(ones, 2 * ones))
    assert maps.shape == (24, 20)
    field, gain = maps.tone()
    assert [field[0, 0, 0], field[0, 20, 5], field[0, 20, 19]] == pytest.approx([math.sqrt(2), 1, 0])
    assert gain[0, 0, 0] == pytest.approx(1 / math.sqrt(2))
    assert maps.inequality(2) == pytest.approx(np.ones(2))
    np.testing.assert_allclose(folded(np.arange(16.0).reshape(4, 4), 2), [[20, 24], [36, 40]])


def component(order: int, periods: tuple[int, int], power: float) -> Component:
    return Component(order, periods, -20.0, 0, np.array([power, 0.0]))


def test_orders_belong_to_a_multiple_that_was_found() -> None:
    parts = [component(2, (2, 2), 9.0), component(8, (8, 1), 1.0), component(7, (7, 7), 4.0)]
    found = families(parts)
    assert [family.periods for family in found] == [(8, 2), (7, 7)]
    assert families([]) == []
