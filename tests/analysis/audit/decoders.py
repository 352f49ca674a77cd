"""Small decoders and pieces of them, right and wrong, that the tests of the audit share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Lambda(nn.Module):
    """A module whose forward is a function of the input and of the layers given."""

    def __init__(self, function: Callable[..., object], **layers: nn.Module | Tensor) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            if isinstance(layer, nn.Module):
                self.add_module(name, layer)
            else:
                self.register_buffer(name, layer)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def transposed(k: int, s: int, c: int = 6, dims: int = 2, **options) -> nn.Module:
    """Transposed convolution that enlarges exactly `s` times."""
    padding = max(0, -(-(k - s) // 2))
    module = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    return module(c, c, k, s, padding, 2 * padding - (k - s), **options)


def with_weight(module: nn.Module, weight: Tensor, bias: Tensor | float = 0.0) -> nn.Module:
    with torch.no_grad():
        module.weight.copy_(weight.expand_as(module.weight))
        if module.bias is not None:
            module.bias.copy_(torch.as_tensor(bias))
    return module


def fir(taps: list[float], c: int = 6) -> nn.Module:
    """Depthwise FIR filter, the outer product of `taps` with itself."""
    row = torch.tensor(taps) / sum(taps)
    k = len(taps)
    conv = nn.Conv2d(c, c, k, padding=k // 2, groups=c, bias=False)
    return with_weight(conv, torch.outer(row, row))


def bilinear_kernel(s: int) -> Tensor:
    k = 2 * s - s % 2
    centre = (k - 1) / 2
    line = 1 - (torch.arange(k) - centre).abs() / s
    return torch.outer(line, line)


def equal_gain(module: nn.Module) -> nn.Module:
    """Make the phase gains of a transposed convolution equal by adding the same number to every tap of a phase."""
    w = module.weight.data.double()
    s = module.stride[0]
    d = w.dim() - 2
    spots = torch.stack(torch.meshgrid(*(torch.arange(k) % s for k in w.shape[2:]), indexing="ij"), -1)
    phase = (spots * torch.tensor([s**i for i in range(d)])).sum(-1).flatten()
    flat = w.flatten(2)
    count = torch.bincount(phase, minlength=s**d).double()
    gains = torch.zeros(*flat.shape[:2], s**d, dtype=torch.float64).index_add(2, phase, flat)
    target = (gains / count).sum(-1, keepdim=True) / (1 / count).sum()
    module.weight.data = (flat - ((gains - target) / count)[..., phase]).reshape(w.shape).float()
    return module


def icnr(c_in: int, c_out: int, s: int, adjacent: bool = True) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out * s * s, 3, padding=1)
    base = torch.randn(c_out, c_in, 3, 3)
    weight = base.repeat_interleave(s * s, 0) if adjacent else base.repeat(s * s, 1, 1, 1)
    return with_weight(conv, weight)


def by_reshape(pattern: str, s: int = 2) -> Callable[..., Tensor]:
    """Sub-pixel shuffle written with view and permute: which of channel, row and column phase is slowest."""

    def run(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        n, c, h, w = x.shape
        sizes = {"c": c // s**2, "p": s, "q": s}
        x = x.reshape(n, *(sizes[letter] for letter in pattern), h, w)
        at = {letter: 1 + pattern.index(letter) for letter in pattern}
        return x.permute(0, at["c"], 4, at["p"], 5, at["q"]).reshape(n, c // s**2, h * s, w * s)

    return run


def zero_insertion(self, x: Tensor) -> Tensor:
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    y[:, :, ::2, ::2] = x
    return self.filter(y)


def upfirdn(self, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    y = F.pad(x.reshape(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)
    return self.filter(y)


def interleaved(self, x: Tensor) -> Tensor:
    y = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    for i in range(2):
        for j in range(2):
            y[:, :, i::2, j::2] = self.get_submodule(f"f{i}{j}")(x)
    return y


def sampled(mode: str) -> Callable[..., Tensor]:
    def run(self, x: Tensor) -> Tensor:
        theta = torch.eye(2, 3).expand(len(x), 2, 3)
        grid = F.affine_grid(theta, (*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]), align_corners=False)
        return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)

    return run


def folded(k: int, s: int, weight: str) -> Callable[..., Tensor]:
    def run(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        columns = x.flatten(2).repeat_interleave(k * k, 1)
        if weight == "random":
            columns = columns * self.scale[None, :, None]
        p = (k - s) // 2
        return (
            F.fold(columns, (h * s, w * s), k, padding=p, stride=s)
            if (k - s) % 2 == 0
            else F.fold(columns, ((h - 1) * s + k, (w - 1) * s + k), k, stride=s)
        )

    return run


def vit(self, x: Tensor) -> Tensor:
    """Tokens with a class token, attention, and patches put back by a reshape in NHWC order."""
    t = self.embed(x).flatten(2).transpose(1, 2)
    t = torch.cat([self.cls.expand(len(x), 1, -1), t], 1)
    t = t + self.attention(t, t, t, need_weights=False)[0]
    t = self.head(t[:, 1:])
    n, side = len(x), x.shape[2] // 4
    return t.reshape(n, side, side, 4, 4, 3).permute(0, 5, 1, 3, 2, 4).reshape(n, 3, 4 * side, 4 * side)


def windows(self, x: Tensor) -> Tensor:
    """Window partition and its inverse: the map never grows."""
    n, c, h, w = x.shape
    y = x.permute(0, 2, 3, 1).view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
    y = self.mix(y).view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
    return self.up(y.permute(0, 3, 1, 2))


def unet(up: nn.Module) -> nn.Module:
    def run(self, x: Tensor) -> Tensor:
        skip = F.relu(self.enter(x))
        deep = F.relu(self.down(skip))
        return self.leave(torch.cat([self.up(deep), skip], 1))

    return Lambda(
        run,
        enter=nn.Conv2d(6, 6, 3, padding=1),
        down=nn.Conv2d(6, 6, 3, stride=2, padding=1),
        up=up,
        leave=nn.Conv2d(12, 3, 3, padding=1),
    )


def conv(c_in: int = 6, c_out: int = 6) -> nn.Module:
    return nn.Conv2d(c_in, c_out, 3, padding=1)


def up(mode: str, **options) -> nn.Module:
    return nn.Upsample(scale_factor=2, mode=mode, **options)


def inputs(*shape: int) -> Tensor:
    """Return white Gaussian noise in float32, always the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def dirty() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(transposed(4, 2), nn.ReLU(), transposed(4, 2), nn.ReLU(), conv(6, 3))
