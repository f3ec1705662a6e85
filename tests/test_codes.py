"""Codes of posteriors whose mean has no closed form."""

import torch
from compositions import build, data

from pyrovae import active_units


def test_a_code_depends_on_its_datum_alone() -> None:
    """Mutation: noise drawn for the whole batch, which lets 1,000 equal data have 1,000 codes."""
    for name in ("flow", "iaf"):
        torch.manual_seed(1)
        vae = build(posterior=name)
        x, _ = data()
        codes = vae.embed(x)
        alone = torch.cat([vae.embed(row[None]) for row in x])
        torch.testing.assert_close(codes, alone, rtol=1e-4, atol=1e-5)
        draws = vae.posterior(x).sample((20_000,))
        error = (draws.mean(0) - codes).abs() / draws.std(0)
        assert error.max() < 0.05
        assert (vae.posterior(x).sample((256,)).mean(0) - codes).abs().max() > 1e-3
        assert not active_units(vae, x[:1].expand(500, *x.shape[1:])).any()
