"""Published numbers beside one's own: on the same data, with every difference of protocol named."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from pyrovae.checks import format_table


class Protocol(NamedTuple):
    """What two numbers must share to be comparable; the training is told beside them, for no two are alike."""

    binarize: str
    particles: int
    network: str
    latent_dim: int

    def differences(self, other: "Protocol") -> list[str]:
        """Returns what differs, in words.

        Example:
            >>> Protocol("dynamic", 5000, "mlp 200-200", 50).differences(Protocol("dynamic", 1000, "mlp 200-200", 50))
            ['particles 1000 against 5000']
        """
        pairs = zip(self._fields, other, self, strict=True)
        return [f"{name.replace('_', ' ')} {theirs} against {mine}" for name, theirs, mine in pairs if theirs != mine]


class Published(NamedTuple):
    """One number of a paper, nats per datum."""

    data: str
    prior: str
    objective: str
    mean: float
    error: float | None
    protocol: Protocol
    cite: str
    source: str
    training: str


@cache
def rows() -> tuple[Published, ...]:
    """Returns every published number that ships with the package."""
    content = tomllib.loads(resources.files("pyrovae").joinpath("published.toml").read_text(encoding="utf-8"))
    return tuple(
        Published(
            row["data"], row["prior"], row.get("objective", "elbo"), row["mean"], row.get("error"),
            Protocol(**table["protocol"]), table["cite"], table["source"], table["training"],
        )
        for table in content.values()
        for row in table["rows"]
    )  # fmt: skip


def protocol_of(experiment: Mapping[str, Any], numbers: Mapping[str, Any], binarize: str) -> Protocol:
    """Returns the protocol of one's own run."""
    encoder, decoder = (network(experiment[part]) for part in ("encoder", "decoder"))
    both = encoder if encoder == decoder else f"{encoder} and {decoder}"
    return Protocol(binarize, numbers.get("particles", 0), both, experiment["vae"]["latent_dim"])


def network(section: Mapping[str, Any]) -> str:
    """Names a network and its widths.

    Example:
        >>> network({"name": "gated-mlp", "hidden": [300, 300], "activation": "gated"})
        'gated-mlp 300-300'
        >>> network({"name": "gru", "hidden": 64})
        'gru 64'
    """
    widths = section.get("hidden", section.get("channels", []))
    several = [widths] if isinstance(widths, int) else widths
    return " ".join([str(section["name"]), "-".join(map(str, several))]).strip()


def beside(data: str, protocols: list[Protocol]) -> list[str]:
    """Returns lines on what is published of a data set, those of the nearest protocol first; none where nothing is."""
    known = [row for row in rows() if row.data == data]
    if not known or not protocols:
        return []

    def nearest(row: Published) -> list[str]:
        return min((mine.differences(row.protocol) for mine in protocols), key=len)

    ordered = sorted(known, key=lambda row: (len(nearest(row)), -row.mean))
    cells = [
        [row.prior, row.objective, f"{row.mean:.2f}" + (f" ± {row.error:.2f}" if row.error else ""),
         "; ".join(nearest(row)) or "same protocol", row.cite]
        for row in ordered
    ]  # fmt: skip
    head = [["prior", "objective", "log p(x), nats", "protocol", "source"], ["---"] * 5]
    table = format_table([*head, *cells]).splitlines()
    width = max(map(len, table))
    return [
        f"Published of {data} (± over their trainings; trained otherwise and longer):",
        "",
        *(f"| {line.ljust(width)} |" for line in table),
        "",
        *sorted({f"- {row.source}. {row.training}." for row in ordered}),
    ]
