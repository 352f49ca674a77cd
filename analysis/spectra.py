"""The one spectral estimator: windowed, in float64, every bin kept, power averaged before anybody takes a logarithm.

Images are (N, C, *spatial) with one to three spatial axes. Frequencies are in cycles per pixel. Nothing here ever
takes a logarithm or drops a bin; what is cropped is said in `interior`.

Normalisation. With the periodic Hann window w and mean_w x = sum w x / sum w,

* a *coefficient* is c(f) = sum_r w (x - mean_w x) exp(-2 pi i f r) / sum w: a cosine of amplitude a has |c| = a / 2
  at its two lines (a at a self-conjugate line), whatever the size;
* a *power* is P(f) = |sum_r w (x - mean_w x) exp(-2 pi i f r)|^2 / sum w^2: white noise of variance v reads v at
  every frequency (times the 1 - O(1 / pixels) that the removed mean takes), and the mean over all frequencies is the
  image's mean square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import torch
from torch import Tensor

from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.toolkit import checks

#: Pixels that are transformed at once: in float64 they and their spectrum stay in a core's cache ...
CHUNK = 1 << 18
#: ... which a GPU has no use for: there so many times as many keep it busy, in a few hundred MB.
CHUNK_ON_GPU = 64
#: Channels that pictures have, and the most that signals usually have: what tells an axis of channels from others.
COLOURS, SIGNAL_CHANNELS = (1, 3, 4), 16


def check_batch(images: Tensor, subject: str = "images") -> Tensor:
    """Return `images` if they are a real batch (N, C, *spatial) with one to three spatial axes, none of them empty.

    Raises:
        ValueError: If they are not.
    """
    if not isinstance(images, Tensor):
        raise checks.mismatch(subject, "a torch.Tensor", type(images).__name__, "use torch.as_tensor")
    if not 3 <= images.dim() <= 5 or not all(images.shape):
        raise checks.mismatch(
            subject,
            "shape (n, c, *spatial) with 1 to 3 spatial axes",
            tuple(images.shape),
            "add batch and channel axes",
        )
    if images.is_complex() or images.is_meta:
        raise checks.mismatch(subject, "real numbers", "none, on device meta" if images.is_meta else images.dtype)
    return images


def check_images(images: Tensor, subject: str = "images") -> Tensor:
    """Return `images` if they are a batch, in the order of axes that every measure expects.

    A picture without its batch axis would be read as signals, and one with its channels last as a picture three pixels
    wide; both give a number that means nothing. They are recognised by an axis as short as colours are where there
    should be images or pixels, before or behind axes that are longer than channels of signals.

    Raises:
        ValueError: If they are no batch, or the axes look like (C, H, W) or (N, H, W, C).
    """
    shape = tuple(check_batch(images, subject).shape)
    if len(shape) == 3 and shape[0] in COLOURS and shape[1] > SIGNAL_CHANNELS:
        fix = "add the batch axis of an image, x[None]; signals of many channels take x[:, :, None] and a period (1, p)"
        raise checks.mismatch(subject, f"(n, c, length) with c up to {SIGNAL_CHANNELS}", shape, fix)
    if len(shape) == 4 and shape[-1] in COLOURS and min(shape[1:3]) > SIGNAL_CHANNELS:
        raise checks.mismatch(
            subject, "(n, c, h, w)", shape, "move the channels, x.movedim(-1, 1), or crop the last axis"
        )
    return images


def check_pair(images: Tensor, target: Tensor, *, subjects: tuple[str, str] = ("images", "target")) -> None:
    """Check that two batches have one shape and lie on one device.

    Raises:
        ValueError: If they do not, or one of them is no batch.
    """
    checks.shape(subjects[0], check_images(images, subjects[0]), tuple(check_images(target, subjects[1]).shape))
    if images.device != target.device:
        raise checks.mismatch(subjects[0], f"a tensor on {target.device}", images.device, "move it with .to(device)")


def check_finite(images: Tensor, subject: str = "images") -> Tensor:
    """Return `images` if every number is finite.

    Raises:
        ValueError: If there is a NaN or an infinity; the message counts them.
    """
    bad = int(images.numel() - torch.isfinite(images).sum())
    if bad:
        raise checks.mismatch(subject, "finite numbers", f"{bad} of {images.numel()} not finite", "drop diverged runs")
    return images


def plain(images: Tensor) -> Tensor:
    """Return `images` without gradient, and on the CPU where their device has no float64: a measure is no loss."""
    return images.detach().cpu() if images.device.type == "mps" else images.detach()


def exact(images: Tensor) -> Tensor:
    """Return `plain` images in float64, whatever their type."""
    return plain(images).double()


def interior(images: Tensor, period: Period, margin: Period = 0) -> Tensor:
    """Return the part of `images` that lies `margin` off every edge, cut to multiples of `period`, in float64.

    It starts at a multiple of the period, so that the first pixel keeps its phase. Period and margin are one number,
    or one per spatial axis.

    Raises:
        ValueError: If the images are no batch or not finite, `period` < 1 or `margin` < 0, or nothing is left.

    >>> interior(torch.zeros(1, 3, 17, 20), 4, margin=3).shape
    torch.Size([1, 3, 8, 12])
    """
    dims = check_images(images).dim() - 2
    periods, margins = per_axis(period, dims), per_axis(margin, dims, "margin", minimum=0)
    starts = [-(-m // p) * p for m, p in zip(margins, periods, strict=True)]
    lengths = [(n - m - s) // p * p for n, m, s, p in zip(images.shape[2:], margins, starts, periods, strict=True)]
    if any(length < p for length, p in zip(lengths, periods, strict=True)):
        least = [s + m + p for s, m, p in zip(starts, margins, periods, strict=True)]
        raise checks.mismatch(
            "images",
            f"sides from {_in_words(least)} for period {_in_words(periods)}, margin {_in_words(margins)}",
            tuple(images.shape[2:]),
            "enlarge them",
        )
    for axis, (start, length) in enumerate(zip(starts, lengths, strict=True), start=2):
        images = images.narrow(axis, start, length)
    return exact(check_finite(images))


def _in_words(lengths: Sequence[int]) -> str:
    return str(lengths[0]) if len(set(lengths)) == 1 else " x ".join(map(str, lengths))


def hann(shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return the separable periodic Hann window, float64.

    Periodic, because its transform is then zero at every bin but a line's own and the next: a line that lies on a
    bin leaks nowhere else. A rectangular window gives a grid test 10 to 24 % false positives on photographs.
    """
    axes = [torch.hann_window(length, dtype=torch.float64, device=device) for length in shape]
    return reduce(lambda outer, axis: outer[..., None] * axis, axes)


def coefficients(images: Tensor) -> Tensor:
    """Return the complex window-corrected coefficients of every image, (N, C, *spatial), zero frequency first."""
    x, axes = exact(check_batch(images)), tuple(range(2, images.dim()))
    window = hann(tuple(x.shape[2:]), x.device)
    mean = (x * window).sum(axes, keepdim=True) / window.sum()
    return torch.fft.fftn((x - mean) * window, dim=axes) / window.sum()


def in_chunks(images: Tensor, cost: int = 1) -> Iterator[Tensor]:
    """Yield the images a few at a time, as many as are transformed at once where they lie.

    Args:
        images: Batch (N, C, *spatial).
        cost: Transformed values per pixel.
    """
    pixels = CHUNK * (CHUNK_ON_GPU if images.is_cuda else 1)
    return iter(images.split(max(1, pixels // (images[0].numel() * cost))))


def _half_planes(images: Tensor) -> Iterator[Tensor]:
    """Yield the transforms whose squared magnitudes are powers, of a few images at a time, (n, C, *half) complex."""
    images = plain(check_batch(images))
    shape, axes = tuple(images.shape[2:]), tuple(range(2, images.dim()))
    window = hann(shape, images.device)
    window = window / window.square().sum().sqrt()
    leak = torch.fft.rfftn(window).flatten()
    # The mean is taken out where the window's transform is not zero, 3^d bins, which saves a pass over the images.
    bins = torch.nonzero(leak.abs() > 1e-12 * leak.abs().max()).flatten()
    for chunk in in_chunks(images):
        spectrum = torch.fft.rfftn(chunk * window, dim=axes)
        flat = spectrum.flatten(2)
        flat[..., bins] -= flat[..., :1] / leak[0] * leak[bins]
        yield spectrum


def _squared(plane: Tensor) -> Tensor:
    return plane.real.square().addcmul_(plane.imag, plane.imag)


def mean_power(images: Tensor) -> Tensor:
    """Return the power averaged over images, per channel, (C, *spatial), zero frequency first.

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> line = torch.tensor([1.0, -1.0]).repeat(8).reshape(1, 1, 16)
    >>> mean_power(line).argmax().item()
    8
    """
    planes = _half_planes(images)
    total = torch.view_as_real(next(planes)).square_().sum(0)
    for plane in planes:
        total += torch.view_as_real(plane).square_().sum(0)
    _check_result(total, images)
    return _full_plane(total.sum(-1) / len(images), images.shape[-1])


def _check_result(result: Tensor, images: Tensor) -> None:
    """Complain about NaN in the images; looked for only where the result has one, which costs next to nothing."""
    if not torch.isfinite(result).all():
        check_finite(images)
        raise checks.mismatch("images", "numbers whose squares are finite", "an overflow", "drop diverged runs")


def _full_plane(half: Tensor, last: int) -> Tensor:
    """Return the power at all frequencies from those of a real transform: P(-f) = P(f)."""
    rest = half[..., 1 : (last + 1) // 2]
    leading = tuple(range(1, half.dim() - 1))
    # the negative of bin k is bin n - k, and bin 0 its own: flip, then bring 0 back to the front
    mirrored = rest.flip(*leading, -1).roll([1] * len(leading), leading) if leading else rest.flip(-1)
    return torch.cat([half, mirrored], dim=-1)


def frequencies(shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return |f| in cycles per pixel at every bin, shape `shape`, zero frequency first, float64."""
    squares = torch.zeros(shape, dtype=torch.float64, device=device)
    for axis, length in enumerate(shape):
        f = torch.fft.fftfreq(length, dtype=torch.float64, device=device)
        squares += f.square().reshape(-1, *(1,) * (len(shape) - axis - 1))
    return squares.sqrt()


def radial_frequencies(shape: tuple[int, ...]) -> Tensor:
    """Return the centre of each radial bin, (bins,), in cycles per pixel: multiples of 1 / (longest side).

    The last bin holds the corner, (1/2, 1/2), so the centres run up to about 0.71 in two dimensions.
    """
    return torch.arange(radial_index(shape).max().item() + 1, dtype=torch.float64) / max(shape)


def radial_index(shape: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return the radial bin of every frequency: |f| times the longest side, rounded; `shape`, int64."""
    return torch.round(frequencies(shape, device) * max(shape)).long()


def half_power(images: Tensor) -> Tensor:
    """Return the power of every image, averaged over channels, at one frequency of each pair +-f, (N, frequencies).

    The half plane of a real transform, row-major and without zero frequency: as features, not for sums.

    Raises:
        ValueError: If the images are no batch or not finite.
    """
    powers = torch.cat([_squared(plane).mean(1).flatten(1)[:, 1:] for plane in _half_planes(images)])
    _check_result(powers, images)
    return powers


def ring_means(power: Tensor) -> Tensor:
    """Return the mean of each ring of one full plane of powers, (*spatial) to (bins,).

    >>> ring_means(torch.ones(8, 8)).shape
    torch.Size([7])
    """
    index = radial_index(tuple(power.shape), power.device).flatten()
    return index.bincount(weights=power.double().flatten()) / index.bincount()


def radial_power(images: Tensor) -> Tensor:
    """Return the mean power per ring of every image and channel, (N, C, bins), float64.

    Bins are rings of integer radius in units of 1 / (longest side); none is dropped, and every frequency counts in
    exactly one of them. For the mean over images `ring_means(mean_power(images).mean(0))` is faster.

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> radial_power(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 3, 46])
    """
    images = plain(check_batch(images))
    matrix = _radial_matrix(tuple(images.shape[2:]), images.device)
    rings = torch.cat([_squared(plane).flatten(2) @ matrix for plane in _half_planes(images)])
    _check_result(rings, images)
    return rings


def _radial_matrix(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return (half plane, bins): each column averages the frequencies of one ring."""
    index = radial_index(shape, device)
    half = index[..., : shape[-1] // 2 + 1]
    # a frequency of the half plane stands for its negative too, except where that lies in the half plane itself
    weight = torch.full(half.shape, 2.0, dtype=torch.float64, device=device)
    weight[..., 0] = 1
    if shape[-1] % 2 == 0:
        weight[..., -1] = 1
    matrix = torch.zeros(half.numel(), int(index.max()) + 1, dtype=torch.float64, device=device)
    matrix[torch.arange(half.numel(), device=device), half.flatten()] = weight.flatten()
    return matrix / index.flatten().bincount()
