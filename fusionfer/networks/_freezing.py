"""Parts of a network that training leaves as they are."""

from __future__ import annotations

from torch import nn

from fusionfer.exceptions import unknown_name

__all__ = ["freeze_parts", "train_mode"]


def freeze_parts(network: nn.Module, parts: tuple[str, ...], *, new: str, name: str) -> None:
    """Exclude the weights of some submodules from training, in place.

    Parameters
    ----------
    network : torch.nn.Module
        From `build_network`.
    parts : tuple of str
        Names of submodules, with all that is in them; "backbone" is all but `new`.
    new : str
        Name of the submodule that is new.
    name : str
        The network's name, for messages.

    Raises
    ------
    UnknownNameError
        If there is no such submodule, or it has no weights.
    """
    weights = dict(network.named_parameters())
    for part in parts:
        if part == "backbone":
            chosen = [weight for key, weight in weights.items() if not key.startswith(f"{new}.")]
        else:
            chosen = [weight for key, weight in weights.items() if key.startswith(f"{part}.")]
        if not chosen:
            known = {key.rpartition(".")[0] for key in weights}
            tops = {".".join(key.split(".")[:depth]) for key in known for depth in (1, 2)}
            raise unknown_name(f"part of {name}", part, {"backbone", *tops}, plural=f"parts of {name}")
        for weight in chosen:
            weight.requires_grad_(False)


def train_mode(network: nn.Module) -> nn.Module:
    """Put a network into train mode, but for normalisation whose weights are frozen.

    That goes on with the mean and deviation that it has, and does not change them, as in Keras: a frozen part then
    gives the same in training and afterwards.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    >>> freeze_parts(network, ("1",), new="0", name="mine")
    >>> [module.training for module in train_mode(network)]
    [True, False, True]
    """
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()
    return network
