"""How a ResNet begins: as published, or without the two halvings that small pictures cannot spare."""

from __future__ import annotations

from torch import nn

from fusionfer.backbones import STEMS
from fusionfer.exceptions import WeightsError, unknown_name

__all__ = ["set_stem"]


def set_stem(module: nn.Module, stem: str, *, name: str) -> nn.Module:
    """Give a ResNet another first layer, in place.

    Parameters
    ----------
    module : torch.nn.Module
        A torchvision ResNet for "small"; any network for "standard".
    stem : {"standard", "small"}
        "standard" changes nothing: 7 x 7 with stride 2, then max pooling with stride 2 [1]_. "small": 3 x 3 with
        stride 1 and no pooling, as in the ResNets for pictures of 32 pixels [1]_ (section 4.2), so that a face of
        48 pixels enters the first stage with 48 x 48 places instead of 12 x 12.
    name : str
        The network's name, for messages.

    Returns
    -------
    torch.nn.Module
        `module`. The new convolution is drawn from torch's random state.

    Raises
    ------
    UnknownNameError
        If there is no such stem.
    WeightsError
        If the network has none to replace.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
    """
    if stem not in STEMS:
        raise unknown_name("stem", stem, STEMS)
    if stem == "standard":
        return module
    first, pooling = getattr(module, "conv1", None), getattr(module, "maxpool", None)
    if not isinstance(first, nn.Conv2d) or not isinstance(pooling, nn.MaxPool2d) or name.startswith("timm:"):
        msg = f"{name}: only resnet34 and resnet50 have the stem 'small', got stem={stem!r}. Use stem='standard'."
        raise WeightsError(msg)
    conv = nn.Conv2d(first.in_channels, first.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # as torchvision draws a ResNet's
    module.conv1 = conv
    module.maxpool = nn.Identity()
    return module
